import type { Cadence } from '../../lib/model/schedule.ts'

/** An item of the schedules table, as people type it. */
export interface Item {
  readonly cadence: Cadence
  readonly schedule: string
  readonly cloud: string
  readonly server?: string
  readonly selector?: Traits & { readonly exclude?: Traits }
  readonly timeZone: string
  readonly at?: string
  readonly spread?: number | string
  readonly dayOfWeek?: string
  readonly dayOfMonth?: number | string
  readonly month?: number | string
  readonly cron?: string
  readonly retention?: number | string
  readonly keep?: Rules
  readonly enabled?: boolean | string
  readonly onEnable?: string
  readonly adopts?: readonly string[]
}

export interface Traits {
  readonly tags?: readonly string[]
  readonly metadata?: Readonly<Record<string, string>>
  readonly name?: string
}

export interface Rules {
  readonly last?: number
  readonly daily?: number
  readonly weekly?: number
  readonly monthly?: number
  readonly yearly?: number
  readonly within?: string
}

/** A server as its people have it. */
export interface Machine {
  readonly id: string
  readonly name: string
  readonly cloud: string
  /** How long its images take. */
  readonly minutes: number
  readonly tags: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly status: string
  /** It boots from a volume: its images are in Cinder, and it shows no task while they are made. */
  readonly volume: boolean
  /** Restored from one of our images, of which Nova hands on all properties. */
  readonly restored: boolean
}

/** What people do, at an instant. */
export type Deed = { readonly at: string } & (
  | { readonly put: Item }
  /** undefined takes an attribute away. */
  | { readonly edit: string; readonly change: { readonly [Name in keyof Item]?: Item[Name] | undefined } }
  | { readonly drop: string }
  | { readonly boot: Machine }
  | { readonly alter: string; readonly machine: Partial<Machine> }
  | { readonly destroy: string }
  /** The newest good image of a schedule and a server, by its name. */
  | { readonly protect: string; readonly of: string }
)

/** What goes wrong with the images of a server that are asked for in a span of time. */
export interface Trouble {
  readonly server: string
  readonly from: string
  readonly to: string
  readonly what:
    | 'CONFLICT'
    | 'QUOTA_IMAGES'
    /** The answer is lost, and no image comes. */
    | 'ANSWER_LOST'
    /** The answer is lost, and the image comes. */
    | 'answer lost on the way'
    /** Nova removes the image when its snapshot fails. */
    | 'vanishes'
}

export interface Span {
  readonly from: string
  readonly to: string
}

export function isIn({ from, to }: Span, instant: Date): boolean {
  return Date.parse(from) <= instant.getTime() && instant.getTime() < Date.parse(to)
}

/** One with 28 February and one with the 29th are in it, and every change of clocks twice. */
export const span: Span = { from: '2027-02-24T00:00Z', to: '2028-03-04T00:00Z' }

/** The timers fire so late. */
export const lateMs = 20_000

const [stockholm, newYork, lordHowe, kathmandu, saoPaulo] = ['Europe/Stockholm', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'America/Sao_Paulo'] as const
export const timeZones = [stockholm, newYork, lordHowe, kathmandu, saoPaulo] as const

const ids = new Map<string, string>()
let booted = 0

function machine(name: string, cloud: string, attributes: Partial<Machine> = {}): Machine {
  booted += 1
  const id = `5e57e500-0000-4000-8000-${String(booted).padStart(12, '0')}`
  ids.set(name, id)
  return { id, name, cloud, minutes: 12, tags: [], metadata: {}, status: 'ACTIVE', volume: false, restored: false, ...attributes }
}

/** Each half of the clouds has its year for itself, so that two can be played at once. */
export const halves = [['north', 'west', 'far'], ['south', 'east']] as const

/** The servers that are there from the beginning. */
export const machines: readonly Machine[] = [
  machine('web-1', 'north', { tags: ['web'] }),
  machine('web-2', 'north', { tags: ['web'], restored: true }),
  machine('db-1', 'north', { minutes: 45 }),
  machine('db-2', 'north', { volume: true, minutes: 20 }),
  machine('cache', 'west'),
  machine('queue', 'west', { minutes: 3 }),
  machine('mail', 'west'),
  machine('wiki', 'west', { volume: true }),
  machine('app-a', 'south', { metadata: { tier: 'blue', team: 'one' } }),
  machine('app-b', 'south', { metadata: { tier: 'blue' } }),
  machine('app-c', 'south', { tags: ['backup'], metadata: { tier: 'green' } }),
  machine('job-1', 'south', { tags: ['night'], minutes: 30 }),
  machine('job-2', 'south'),
  machine('job-3', 'south', { tags: ['backup', 'never'] }),
  machine('store', 'south', { minutes: 59 }),
  machine('proxy', 'south'),
  machine('till-1', 'east', { minutes: 5 }),
  machine('till-2', 'east', { minutes: 5 }),
  machine('till-3', 'east', { minutes: 5 }),
  machine('ledger', 'east', { minutes: 75 }),
  machine('vault', 'far', { volume: true, minutes: 30 }),
  machine('report', 'east'),
]

const idOf = (name: string): string => ids.get(name)!
const north = { cloud: 'north' }
const west = { cloud: 'west' }
const south = { cloud: 'south' }
const east = { cloud: 'east' }
/** Where images are made on few days. */
const far = { cloud: 'far' }

/** The schedules that are there from the beginning: fifty in five zones, of all cadences. */
export const items: readonly Item[] = [
  { cadence: 'daily', schedule: 'web-1', ...north, server: idOf('web-1'), timeZone: stockholm, retention: 7 },
  { cadence: 'daily', schedule: 'web-1 in the small hours', ...north, server: 'web-1', timeZone: stockholm, at: '02:30', spread: 0, retention: '3' },
  { cadence: 'daily', schedule: 'web-2', ...north, server: idOf('web-2'), timeZone: stockholm, at: '01:10', spread: '15', keep: { last: 2, daily: 4, weekly: 3, monthly: 3 } },
  { cadence: 'daily', schedule: 'db-1', ...north, server: 'db-1', timeZone: stockholm, at: '00:15', spread: 0, keep: { daily: 5, yearly: 2 } },
  { cadence: 'daily', schedule: 'cache', ...west, server: idOf('cache'), timeZone: newYork, at: '01:30', spread: 0, retention: 5 },
  { cadence: 'daily', schedule: 'blue', ...south, selector: { metadata: { tier: 'blue' } }, timeZone: lordHowe, at: '01:45', spread: 45, retention: 3 },
  { cadence: 'daily', schedule: 'fleet', ...south, selector: { tags: ['backup'], exclude: { tags: ['never'] } }, timeZone: kathmandu, at: '00:00', spread: 90, keep: { last: 2, weekly: 2 } },
  { cadence: 'daily', schedule: 'store', ...south, server: idOf('store'), timeZone: lordHowe, at: '02:15', spread: 0, keep: { weekly: 3, monthly: 4 } },
  { cadence: 'daily', schedule: 'proxy', ...south, server: 'proxy', timeZone: lordHowe, at: '12:00', onEnable: 'NOW', retention: 2 },
  { cadence: 'daily', schedule: 'report', ...east, server: idOf('report'), timeZone: saoPaulo, at: '23:30', spread: 0, retention: 6 },
  { cadence: 'daily', schedule: 'till-2', ...east, server: 'till-2', timeZone: kathmandu, at: '05:45', spread: 0, onEnable: 'now', keep: { daily: 3, weekly: 2, monthly: 2, yearly: 1 } },

  { cadence: 'weekly', schedule: 'web-1', ...north, server: idOf('web-1'), timeZone: stockholm, dayOfWeek: 'Sunday', at: '02:30', spread: 0, retention: 4 },
  { cadence: 'weekly', schedule: 'web-2', ...north, server: idOf('web-2'), timeZone: newYork, dayOfWeek: 'sunday', at: '02:30', spread: 0, keep: { weekly: 3, monthly: 5 } },
  { cadence: 'weekly', schedule: 'cache', ...west, server: idOf('cache'), timeZone: newYork, dayOfWeek: 'saturday', onEnable: 'now', retention: 6 },
  { cadence: 'weekly', schedule: 'mail', ...west, server: 'mail', timeZone: newYork, dayOfWeek: 'sunday', at: '02:00', spread: 0, retention: 1 },
  { cadence: 'weekly', schedule: 'wiki', ...west, server: idOf('wiki'), timeZone: newYork, dayOfWeek: 'saturday', at: '23:59', spread: 1440, retention: 4 },
  { cadence: 'weekly', schedule: 'queue', ...west, server: idOf('queue'), timeZone: newYork, dayOfWeek: 'sunday', at: '02:15', spread: 30, keep: { last: 1, within: 'P6W' } },
  { cadence: 'weekly', schedule: 'db-2', ...north, server: idOf('db-2'), timeZone: stockholm, dayOfWeek: 'thursday', at: '01:00', spread: 0, keep: { within: 'P5W', monthly: 3 } },
  { cadence: 'weekly', schedule: 'webs', ...north, selector: { tags: ['web'] }, timeZone: kathmandu, dayOfWeek: 'monday', at: '00:10', spread: 20, retention: 3 },
  { cadence: 'weekly', schedule: 'apps', ...south, selector: { name: 'app-?' }, timeZone: lordHowe, dayOfWeek: 'WEDNESDAY', at: '23:45', spread: 60, keep: { last: 1, monthly: 4 } },
  { cadence: 'weekly', schedule: 'jobs', ...south, selector: { name: 'job-*', exclude: { name: '*-3' } }, timeZone: saoPaulo, dayOfWeek: 'tuesday', at: '04:00', retention: 2 },
  { cadence: 'weekly', schedule: 'store', ...south, server: idOf('store'), timeZone: lordHowe, dayOfWeek: 'sunday', at: '02:00', spread: 0, keep: { within: 'P1M' } },
  { cadence: 'weekly', schedule: 'till-1', ...east, server: 'till-1', timeZone: saoPaulo, dayOfWeek: 'thursday', at: '00:00', spread: 10, keep: { within: 'P20D', last: 2 } },
  { cadence: 'weekly', schedule: 'ledger', ...east, server: idOf('ledger'), timeZone: saoPaulo, dayOfWeek: 'friday', at: '18:00', spread: 0, keep: { last: 2, yearly: 3 } },
  { cadence: 'weekly', schedule: 'vault', ...far, server: idOf('vault'), timeZone: kathmandu, dayOfWeek: 'thursday', at: '03:15', spread: 0, retention: 3 },

  { cadence: 'monthly', schedule: 'web-1', ...north, server: idOf('web-1'), timeZone: stockholm, retention: 3 },
  { cadence: 'monthly', schedule: 'web-2', ...north, server: idOf('web-2'), timeZone: stockholm, dayOfMonth: 31, at: '23:30', spread: 60, keep: { last: 2, yearly: 1 } },
  { cadence: 'monthly', schedule: 'db-1', ...north, server: 'db-1', timeZone: newYork, dayOfMonth: '30', at: '01:00', retention: 4 },
  { cadence: 'monthly', schedule: 'apps', ...south, selector: { name: 'app-*', metadata: { tier: 'blue' } }, timeZone: lordHowe, dayOfMonth: 29, at: '02:10', spread: 0, retention: 2 },
  { cadence: 'monthly', schedule: 'store', ...south, server: idOf('store'), timeZone: lordHowe, dayOfMonth: 4, at: '01:40', spread: 0, keep: { within: 'P3M', last: 1 } },
  { cadence: 'monthly', schedule: 'proxy', ...south, server: 'proxy', timeZone: kathmandu, dayOfMonth: 31, onEnable: 'now', keep: { monthly: 3, yearly: 2 } },
  { cadence: 'monthly', schedule: 'ledger', ...east, server: idOf('ledger'), timeZone: saoPaulo, dayOfMonth: 28, at: '12:00', spread: 0, retention: 4 },
  { cadence: 'monthly', schedule: 'till-3', ...east, server: 'till-3', timeZone: saoPaulo, dayOfMonth: 15, at: '00:00', spread: 0, retention: 2 },
  { cadence: 'monthly', schedule: 'vault', ...far, server: idOf('vault'), timeZone: kathmandu, dayOfMonth: 10, at: '10:10', spread: 0, keep: { monthly: 2 } },

  { cadence: 'yearly', schedule: 'web-1', ...north, server: idOf('web-1'), timeZone: stockholm, month: 10, dayOfMonth: 31, at: '02:30', spread: 0, retention: 2 },
  { cadence: 'yearly', schedule: 'leap', ...west, server: 'queue', timeZone: kathmandu, month: 2, dayOfMonth: 29, at: '12:00', spread: 0, retention: 5 },
  { cadence: 'yearly', schedule: 'mail', ...west, server: idOf('mail'), timeZone: newYork, month: 11, dayOfMonth: 7, at: '01:30', spread: 0, retention: 1 },
  { cadence: 'yearly', schedule: 'blue', ...south, selector: { metadata: { tier: 'blue' } }, timeZone: lordHowe, month: '4', dayOfMonth: 31, at: '06:00', retention: 1 },
  { cadence: 'yearly', schedule: 'new year', ...east, selector: { name: 'till-*' }, timeZone: saoPaulo, month: 12, dayOfMonth: 31, at: '23:59', spread: 120, retention: 1 },
  { cadence: 'yearly', schedule: 'first', ...east, server: idOf('report'), timeZone: kathmandu, at: '00:00', spread: 0, retention: 1 },

  { cadence: 'custom', schedule: 'till-1 on Saturdays', ...east, server: idOf('till-1'), timeZone: saoPaulo, cron: '1 6-18/4 * * 6', retention: 6 },
  { cadence: 'custom', schedule: 'till-2 each other hour', ...east, server: idOf('till-2'), timeZone: stockholm, cron: '1 6-18/2 * * 0', keep: { last: 2, daily: 3 } },
  { cadence: 'custom', schedule: 'till-3 on Wednesdays', ...east, server: 'till-3', timeZone: newYork, cron: '*/30 9-10 * * 3', retention: 5 },
  { cadence: 'custom', schedule: 'night', ...east, server: 'till-3', timeZone: lordHowe, cron: '*/45 1-2 * * 0', retention: 3 },
  { cadence: 'custom', schedule: 'small hours', ...west, server: idOf('queue'), timeZone: stockholm, cron: '30 2 * * 0', retention: 2 },
  { cadence: 'custom', schedule: 'twice', ...west, server: idOf('mail'), timeZone: newYork, cron: '30 1,13 * * 0', retention: 4 },
  { cadence: 'custom', schedule: 'ides', ...south, server: idOf('proxy'), timeZone: kathmandu, cron: '0 0 1,15 * *', spread: 200, keep: { last: 1, monthly: 3 } },
  { cadence: 'custom', schedule: 'sundays', ...south, server: 'store', timeZone: lordHowe, cron: '15 2 * * 0', retention: 2 },
  { cadence: 'custom', schedule: 'quarters', ...west, server: idOf('wiki'), timeZone: saoPaulo, cron: '0 0 1 */3 *', onEnable: 'now', keep: { yearly: 2 } },
  { cadence: 'custom', schedule: 'last days', ...south, selector: { tags: ['night'] }, timeZone: newYork, cron: '0 2 28-31 * *', keep: { within: 'P1M' } },
]

/** What people do in that year, in order. */
export const deeds: readonly Deed[] = [
  { at: '2027-03-03T12:30Z', alter: 'app-c', machine: { metadata: { tier: 'blue' } } },
  { at: '2027-03-05T12:30Z', protect: 'daily/web-1', of: 'web-1' },
  { at: '2027-03-10T12:30Z', edit: 'daily/cache', change: { enabled: 'False' } },
  { at: '2027-04-02T12:30Z', edit: 'daily/cache', change: { enabled: 'true' } },
  { at: '2027-04-05T12:30Z', edit: 'weekly/cache', change: { enabled: false } },
  { at: '2027-05-06T12:30Z', edit: 'weekly/cache', change: { enabled: true } },
  { at: '2027-04-10T12:30Z', boot: machine('job-4', 'south', { tags: ['backup'], minutes: 9 }) },
  { at: '2027-04-20T12:30Z', edit: 'daily/till-2', change: { timeZone: newYork } },
  { at: '2027-04-21T12:30Z', edit: 'custom/till-1 on Saturdays', change: { timeZone: lordHowe } },
  { at: '2027-04-22T12:30Z', edit: 'weekly/vault', change: { timeZone: newYork, dayOfWeek: 'tuesday' } },
  { at: '2027-05-11T12:30Z', edit: 'daily/web-1', change: { retention: 3 } },
  { at: '2027-05-12T12:30Z', edit: 'weekly/vault', change: { retention: 1 } },
  { at: '2027-05-15T12:30Z', destroy: 'app-b' },
  { at: '2027-05-25T12:30Z', edit: 'daily/report', change: { retention: 'plenty' } },
  { at: '2027-06-01T12:30Z', edit: 'daily/report', change: { retention: 4 } },
  { at: '2027-06-08T12:30Z', alter: 'job-3', machine: { tags: ['backup'] } },
  { at: '2027-06-15T12:30Z', edit: 'monthly/proxy', change: { enabled: false } },
  { at: '2027-09-05T12:30Z', edit: 'monthly/proxy', change: { enabled: true } },
  { at: '2027-06-20T12:30Z', destroy: 'proxy' },
  { at: '2027-06-25T12:30Z', boot: machine('proxy', 'south', { minutes: 25 }) },
  { at: '2027-07-01T12:30Z', drop: 'weekly/store' },
  { at: '2027-07-10T12:30Z', edit: 'daily/store', change: { adopts: ['weekly/store'] } },
  { at: '2027-07-12T12:30Z', protect: 'weekly/db-2', of: 'db-2' },
  { at: '2027-07-20T12:30Z', put: { cadence: 'yearly', schedule: 'late', ...south, server: idOf('store'), timeZone: stockholm, month: 2, dayOfMonth: 29, onEnable: 'now', retention: 1 } },
  { at: '2027-08-01T12:30Z', edit: 'daily/web-2', change: { keep: { last: 5, weekly: 2 } } },
  { at: '2027-08-15T12:30Z', edit: 'daily/store', change: { at: '20:00' } },
  { at: '2027-09-10T12:30Z', alter: 'cache', machine: { status: 'ERROR' } },
  { at: '2027-09-12T12:30Z', alter: 'cache', machine: { status: 'SHUTOFF' } },
  { at: '2027-10-01T12:30Z', edit: 'daily/web-2', change: { keep: undefined, retention: 2 } },
  { at: '2027-10-10T12:30Z', edit: 'custom/till-3 on Wednesdays', change: { enabled: false } },
  { at: '2027-10-20T12:30Z', edit: 'custom/till-3 on Wednesdays', change: { enabled: true, onEnable: 'now' } },
  { at: '2027-10-25T12:30Z', alter: 'job-3', machine: { tags: ['backup', 'never'] } },
  { at: '2027-12-01T12:30Z', edit: 'custom/twice', change: { cron: '15 */6 * * 6-6', spread: 30 } },
  { at: '2027-12-05T12:30Z', alter: 'web-1', machine: { tags: [] } },
  { at: '2027-12-20T12:30Z', alter: 'web-1', machine: { tags: ['web'] } },
  { at: '2028-01-10T12:30Z', edit: 'daily/till-2', change: { keep: undefined, retention: 2, timeZone: stockholm } },
]

/** Spans in which no timer fires. */
export const silences: readonly Span[] = [
  { from: '2027-03-28T00:00Z', to: '2027-03-28T06:00Z' },
  { from: '2027-05-01T00:00Z', to: '2027-05-02T00:00Z' },
  { from: '2027-07-29T10:00Z', to: '2027-08-03T17:00Z' },
  { from: '2027-11-06T20:00Z', to: '2027-11-07T07:00Z' },
  { from: '2027-12-31T20:00Z', to: '2028-01-02T03:00Z' },
]

/** Spans in which a cloud cannot be entered. */
export const absences: readonly (Span & { readonly cloud: string })[] = [
  { cloud: 'south', from: '2027-06-10T05:00Z', to: '2027-06-11T02:00Z' },
  { cloud: 'east', from: '2027-10-03T12:00Z', to: '2027-10-03T19:00Z' },
]

export const troubles: readonly Trouble[] = [
  { server: 'web-1', from: '2027-02-26T00:00Z', to: '2027-02-26T04:30Z', what: 'CONFLICT' },
  { server: 'web-2', from: '2027-03-07T00:00Z', to: '2027-03-09T10:00Z', what: 'CONFLICT' },
  { server: 'db-1', from: '2027-03-15T00:00Z', to: '2027-03-15T08:00Z', what: 'QUOTA_IMAGES' },
  { server: 'db-2', from: '2027-04-15T00:00Z', to: '2027-04-16T12:00Z', what: 'vanishes' },
  { server: 'queue', from: '2027-05-23T00:00Z', to: '2027-05-24T00:00Z', what: 'ANSWER_LOST' },
  { server: 'till-2', from: '2027-05-20T00:00Z', to: '2027-05-23T00:00Z', what: 'answer lost on the way' },
  { server: 'app-a', from: '2027-07-05T00:00Z', to: '2027-07-06T18:00Z', what: 'vanishes' },
  { server: 'job-1', from: '2027-08-20T00:00Z', to: '2027-08-20T23:00Z', what: 'CONFLICT' },
  { server: 'till-3', from: '2027-09-15T00:00Z', to: '2027-09-16T16:00Z', what: 'vanishes' },
  { server: 'till-1', from: '2027-12-10T00:00Z', to: '2027-12-13T00:00Z', what: 'CONFLICT' },
  { server: 'ledger', from: '2028-01-14T00:00Z', to: '2028-01-15T00:00Z', what: 'QUOTA_IMAGES' },
]

/** What there is of the estate in some of its clouds, in order; no cloud knows of another. */
export function estateOf(clouds: readonly string[]): { readonly machines: readonly Machine[]; readonly items: readonly Item[]; readonly deeds: readonly Deed[] } {
  const isThere = ({ cloud }: { readonly cloud: string }) => clouds.includes(cloud)
  const names = new Set(machines.filter(isThere).map(({ name }) => name))
  const keys = new Set(items.filter(isThere).map(({ cadence, schedule }) => `${cadence}/${schedule}`))
  const isTheirs = (deed: Deed): boolean => {
    if ('put' in deed) return isThere(deed.put)
    if ('boot' in deed) return isThere(deed.boot)
    if ('edit' in deed) return keys.has(deed.edit)
    if ('drop' in deed) return keys.has(deed.drop)
    return names.has('alter' in deed ? deed.alter : 'destroy' in deed ? deed.destroy : deed.of)
  }
  return {
    machines: machines.filter(isThere),
    items: items.filter(isThere),
    deeds: deeds.filter(isTheirs).toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at)),
  }
}
