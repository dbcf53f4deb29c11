import { Cron } from 'croner'
import * as z from 'zod'
import { calendarRules, keepLast, keepSchema, type KeepRules } from './keep.ts'
import { nearest } from './nearest.ts'
import { between } from './number.ts'
import { isUuid } from './uuid.ts'

/** How often: those that a timer function looks at. */
export const timedCadences = ['daily', 'weekly', 'monthly', 'yearly', 'custom'] as const
export type TimedCadence = (typeof timedCadences)[number]
/** A `manual` schedule has no turns: a person, or a program of theirs, asks for each of its images. */
export const cadences = [...timedCadences, 'manual'] as const
export type Cadence = (typeof cadences)[number]

/** In croner's and cron's order: Sunday is 0. */
export const daysOfWeek = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const
export type DayOfWeek = (typeof daysOfWeek)[number]

/** How an item names its servers: a UUID is taken as it is, a name must match exactly one server, a selector matches any number. */
export type ServerReference = { readonly id: string } | { readonly name: string } | { readonly selector: Selector }

/** Matches a server that has all the tags, all the metadata and the name, unless one of the exclusions matches it too. */
export interface Selector extends Traits {
  /** Any one of its tags, of its metadata, or its name is enough. */
  readonly exclude: Traits
}

/** What servers are known by. */
export interface Traits {
  /** Server tags, compared exactly. */
  readonly tags: readonly string[]
  /** Server metadata, compared exactly. */
  readonly metadata: Readonly<Record<string, string>>
  /** Matches whole names, letter case included: `*` stands for any characters, `?` for one. */
  readonly name?: string | undefined
}

/** How the guest's disk is treated: as it is, frozen by its guest agent, or with the server stopped. */
export const consistencies = ['live', 'quiesced', 'stopped'] as const
export type Consistency = (typeof consistencies)[number]

/**
 * What the service writes back, the item's status page. All of it may be absent; nothing decides on it alone but
 * `since`, for items that give their server by name `lastRun.server`, and for those with a selector `next`.
 */
export interface ScheduleState {
  /** ISO instant from which the schedule counts: when the service first saw it enabled. Absent while disabled. */
  readonly since?: string
  readonly lastRun?: { readonly time: string; readonly period: string; readonly server: string }
  readonly lastGood?: { readonly time: string; readonly period: string; readonly image: string }
  /** ISO instant of the next start, of a retry if one is due first. */
  readonly next?: string
  /** One sentence, or absent. */
  readonly problem?: string
  /** ISO instant since which the server has not been found; absent while it is there. */
  readonly missingSince?: string
}

/** One valid item of the schedules table. */
export interface Schedule {
  readonly cadence: Cadence
  readonly name: string
  /** `<cadence>/<name>`: how images, runs, events and logs name it. */
  readonly key: string
  readonly server: ServerReference
  /** The most servers that a selector may match; 1–100000. */
  readonly maxServers: number
  readonly cloud: string
  /** Which good images of each server to keep. */
  readonly keep: KeepRules
  /** Set for weekly. */
  readonly dayOfWeek: DayOfWeek | undefined
  /** 1–31, for monthly and yearly; a month that is shorter runs on its last day. */
  readonly dayOfMonth: number
  /** 1–12, for yearly. */
  readonly month: number
  /** Five fields, set for custom. */
  readonly cron: string | undefined
  /** Local time of day, for all but custom. */
  readonly at: { readonly hour: number; readonly minute: number }
  /** Minutes after `at` over which servers are spread; 0–1440. */
  readonly spread: number
  /** IANA name. */
  readonly timeZone: string
  readonly enabled: boolean
  readonly onEnable: 'next' | 'now'
  /** Keys of schedules that no longer exist, whose images count in this one's retention. */
  readonly adopts: readonly string[]
  /** Template of the image's name. */
  readonly imageName: string
  readonly consistency: Consistency
  /** Ids of the projects that become members of each good image. */
  readonly shareWith: readonly string[]
  readonly state: ScheduleState
}

/** What is wrong with one attribute of an item. */
export interface Fault {
  readonly field: string
  /** A sentence that names the field, the value and the fix. */
  readonly message: string
}

/** An item that cannot be used, with all its faults. */
export interface InvalidSchedule {
  readonly cadence: string
  readonly name: string
  readonly key: string
  readonly cloud: string
  readonly faults: readonly [Fault, ...Fault[]]
  readonly state: ScheduleState
}

/** What a schedule's item is found by. */
export interface ScheduleKey {
  readonly cadence: Cadence
  readonly name: string
}

/** An item of the schedules table as it is written there, with its keys. */
export type ScheduleItem = Readonly<Record<string, unknown>>

export type ParsedSchedule =
  | { readonly valid: true; readonly schedule: Schedule }
  | { readonly valid: false; readonly invalid: InvalidSchedule }

/** Glance refuses control characters and anything outside the Basic Multilingual Plane in a property (lab finding). */
const unprintable = /[\p{Cc}\p{Cs}\u{10000}-\u{10ffff}]/u

const boolean = z.preprocess((value) => {
  if (typeof value !== 'string') return value
  return { true: true, false: false }[value.trim().toLowerCase()] ?? value
}, z.boolean())
const word = z.preprocess((value) => (typeof value === 'string' ? value.trim().toLowerCase() : value), z.string())
const text = z.string().trim().min(1)
const strings = z.preprocess((value) => (value instanceof Set ? [...value] : value), z.array(text))

const traits = {
  tags: strings.default([]),
  metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String)).default({}),
  name: text.max(255).optional(),
}
const selectorSchema = z.strictObject({ ...traits, exclude: z.strictObject(traits).prefault({}) }).refine(selectsAnything)

/** Each attribute: its schema, and how to finish the sentence "`x` must be …". */
const attributes = {
  cadence: [z.enum(cadences), `one of ${list(cadences, 'or')}`],
  schedule: [
    z.string().min(1).max(128).refine((name) => !unprintable.test(name) && name.trim() === name),
    '1 to 128 printable characters without emoji or space at either end, since images carry it as a property',
  ],
  server: [text.max(255).optional(), "a server's UUID, or a name that matches exactly one server"],
  selector: [selectorSchema.optional(), 'a map with at least one of tags, metadata and name, and perhaps exclude (name "*" matches every server)'],
  maxServers: [between(1, 100_000).default(1000), 'a whole number from 1 to 100000'],
  cloud: [z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/).default('default'), 'the name of a cloud parameter: letters, digits, "_", "." and "-"'],
  retention: [between(1, 65_535).optional(), 'a whole number from 1 to 65535'],
  keep: [keepSchema.optional(), 'a map of last, daily, weekly, monthly, yearly (0 to 65535) and within (a duration), of which at least one keeps something'],
  dayOfWeek: [word.pipe(z.enum(daysOfWeek)).optional(), `one of ${list(daysOfWeek, 'or')}`],
  dayOfMonth: [between(1, 31).default(1), 'a whole number from 1 to 31 (a shorter month runs on its last day)'],
  month: [between(1, 12).default(1), 'a whole number from 1 to 12'],
  cron: [text.max(255).refine(isCron).optional(), 'five cron fields (minute, hour, day of month, month, day of week) of a time that comes, such as "1 6-18/2 * * *"'],
  at: [
    z.string().trim().regex(/^([01]\d|2[0-3]):[0-5]\d$/).default('01:00'),
    'a local time of day as HH:MM, 00:00 to 23:59',
  ],
  spread: [between(0, 1440).optional(), 'a whole number of minutes from 0 to 1440'],
  timeZone: [text.refine(isTimeZone).default('UTC'), 'an IANA time zone such as Europe/Stockholm'],
  enabled: [boolean.default(true), 'true or false'],
  onEnable: [word.pipe(z.enum(['next', 'now'])).default('next'), '"next" or "now"'],
  adopts: [strings.pipe(z.array(z.string().regex(/^[a-z]+\/.{1,128}$/u))).default([]), 'a list of <cadence>/<schedule> names'],
  imageName: [
    text.max(255).refine((template) => /\{time\}|\{period\}/.test(template)).default('{cadence}-{server}-{time}'),
    'a template of at most 255 characters that holds {time} or {period}, and may hold {cadence}, {server} and {schedule}',
  ],
  consistency: [word.pipe(z.enum(consistencies)).default('live'), `one of ${list(consistencies, 'or')}`],
  shareWith: [strings.pipe(z.array(z.string().regex(/^[A-Za-z0-9_-]{1,64}$/)).max(100)).default([]), 'a list of at most 100 project ids'],
} as const satisfies Record<string, readonly [z.ZodType, string]>

/** The same for the parts of those that are maps. */
const parts: Readonly<Record<string, string>> = {
  'selector.tags': 'a list of server tags',
  'selector.metadata': 'a map of server metadata',
  'selector.name': 'a server\'s name of at most 255 characters, in which "*" stands for any characters and "?" for one',
  'selector.exclude': 'a map of tags, metadata and name',
  'selector.exclude.tags': 'a list of server tags',
  'selector.exclude.metadata': 'a map of server metadata',
  'selector.exclude.name': 'a server\'s name of at most 255 characters, in which "*" stands for any characters and "?" for one',
  ...Object.fromEntries(['last', ...calendarRules].map((rule) => [`keep.${rule}`, 'a whole number from 0 to 65535'])),
  'keep.within': 'a duration of years, months, weeks, days or hours in ISO 8601, such as P14D',
}

/** Which cadences an attribute belongs to, where that is not all of them. */
const belongings: Readonly<Partial<Record<keyof typeof attributes, readonly Cadence[]>>> = {
  dayOfWeek: ['weekly'],
  dayOfMonth: ['monthly', 'yearly'],
  month: ['yearly'],
  cron: ['custom'],
  at: ['daily', 'weekly', 'monthly', 'yearly'],
  spread: timedCadences,
  onEnable: timedCadences,
}

/** Why a cadence has no use for the attributes of others. */
const why: Readonly<Partial<Record<Cadence, string>>> = { custom: 'since its cron says when', manual: 'since a manual schedule has no turns' }

const shape = Object.fromEntries(Object.entries(attributes).map(([name, [schema]]) => [name, schema])) as {
  [Name in keyof typeof attributes]: (typeof attributes)[Name][0]
}
const itemSchema = z.object(shape)

/** Written by the service and by DynamoDB's own TTL; everything else that is not an attribute is a typo. */
const written = new Set(['state'])

/**
 * Reads one item of the schedules table.
 *
 * People type these by hand in a console, so numbers and booleans may be strings, and days and words may be in any
 * letter case. Unknown attributes are refused by name, since they are typos.
 *
 * @param item - The item as the table returns it; `cadence` and `schedule` are its keys and so are always strings.
 * @returns The schedule with its defaults, or every fault that the item has.
 * @see docs/schedules.md, which describes each attribute.
 */
export function parseSchedule(item: Readonly<Record<string, unknown>>): ParsedSchedule {
  const faults: Fault[] = []
  for (const name of Object.keys(item)) {
    if (!(name in attributes) && !written.has(name)) faults.push(unknown(name, Object.keys(attributes), 'attribute'))
  }
  const parsed = itemSchema.safeParse(item)
  const byPath = new Map(parsed.error?.issues.map((issue) => [issue.path.join('.'), issue]))
  for (const issue of byPath.values()) faults.push(...faultsOf(issue, item))
  faults.push(...contradictions(item))

  const name = String(item['schedule'])
  const key = `${String(item['cadence'])}/${name}`
  const state = readState(item['state'])
  const [first, ...others] = faults
  if (first !== undefined || !parsed.success) {
    const cloud = typeof item['cloud'] === 'string' ? item['cloud'] : 'default'
    return { valid: false, invalid: { cadence: String(item['cadence']), name, key, cloud, faults: [first!, ...others], state } }
  }
  const { schedule: _name, at, server, selector, retention, keep, spread, cron, ...rest } = parsed.data
  return {
    valid: true,
    schedule: {
      ...rest,
      name,
      key,
      server: referenceOf(server, selector),
      keep: keep ?? keepLast(retention!),
      dayOfWeek: rest.dayOfWeek,
      cron: cron?.split(/\s+/).join(' '),
      at: { hour: Number(at.slice(0, 2)), minute: Number(at.slice(3)) },
      // A cron says its minute itself.
      spread: spread ?? (rest.cadence === 'custom' ? 0 : 60),
      state,
    },
  }
}

function referenceOf(server: string | undefined, selector: z.output<typeof selectorSchema> | undefined): ServerReference {
  if (server === undefined) return { selector: selector! }
  return isUuid(server) ? { id: server.toLowerCase() } : { name: server }
}

/** What each attribute alone does not show. */
function contradictions(item: Readonly<Record<string, unknown>>): Fault[] {
  const has = (name: string) => item[name] !== undefined
  const faults: Fault[] = []
  const fault = (field: string, message: string) => faults.push({ field, message })
  const cadence = item['cadence'] as Cadence
  if (cadence === 'weekly' && !has('dayOfWeek')) fault('dayOfWeek', `dayOfWeek is required for weekly: ${attributes.dayOfWeek[1]}.`)
  if (cadence === 'custom' && !has('cron')) fault('cron', `cron is required for custom: ${attributes.cron[1]}.`)
  for (const [name, owners] of Object.entries(belongings)) {
    if (!has(name) || !cadences.includes(cadence) || owners.includes(cadence)) continue
    const fix = why[cadence] ?? `or use the cadence ${list(owners, 'or')}`
    fault(name, `${name} belongs to ${list(owners, 'and')}; remove it, ${fix}.`)
  }
  if (!has('server') && !has('selector')) fault('server', `server is required, or a selector: ${attributes.server[1]}.`)
  if (cadence === 'manual' && has('selector')) fault('selector', 'a manual schedule is of one server; give server in place of selector.')
  if (has('server') && has('selector')) fault('selector', 'selector and server contradict each other; remove one of them.')
  if (has('maxServers') && !has('selector')) fault('maxServers', 'maxServers belongs to a selector; remove it.')
  if (!has('retention') && !has('keep')) fault('retention', `retention is required, or keep: ${attributes.retention[1]}.`)
  if (has('retention') && has('keep')) fault('keep', 'keep and retention contradict each other; remove one of them ("last" of keep is what retention is).')
  return faults
}

/** An invalid item's faults as the one sentence of `state.problem`, the event and the log line. */
export function invalidSentence({ faults }: InvalidSchedule): string {
  return faults.map(({ message }) => message).join(' ')
}

function faultsOf(issue: z.core.$ZodIssue, item: Readonly<Record<string, unknown>>): Fault[] {
  const path = issue.path.map(String)
  const field = path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(parts).filter((part) => part.startsWith(`${field}.`)).map((part) => part.slice(field.length + 1)).filter((part) => !part.includes('.'))
    return issue.keys.map((key) => unknown(`${field}.${key}`, known.map((part) => `${field}.${part}`), 'option'))
  }
  const named = path.map((_, depth) => path.slice(0, path.length - depth).join('.')).find((name) => name in parts) ?? path[0]!
  const expected = parts[named] ?? attributes[named as keyof typeof attributes][1]
  const value = named.split('.').reduce<unknown>((map, name) => (map as Record<string, unknown> | undefined)?.[name], item)
  if (value === undefined) return [{ field: named, message: `${named} is required: ${expected}.` }]
  const meant = typeof value === 'string' ? suggestion(named, value) : undefined
  return [{ field: named, message: `${named} must be ${expected}, not ${show(value)}.${meant ? ` Did you mean ${quote(meant)}?` : ''}` }]
}

function unknown(name: string, known: readonly string[], what: 'attribute' | 'option'): Fault {
  const meant = nearest(name, known)
  return {
    field: name,
    message: `${quote(name)} is not an ${what} that this version knows; ${meant ? `did you mean ${quote(meant)}?` : `it knows ${list(known, 'and')}.`}`,
  }
}

/** An empty selector would match every server, which nobody means by leaving it empty. */
function selectsAnything({ tags, metadata, name }: { readonly tags: readonly string[]; readonly metadata: object; readonly name?: string | undefined }): boolean {
  return tags.length > 0 || Object.keys(metadata).length > 0 || name !== undefined
}

/** Five fields that croner reads, of a time that comes at all: 31 February never does. */
function isCron(pattern: string): boolean {
  try {
    return new Cron(pattern, { mode: '5-part', timezone: 'UTC' }).nextRun(new Date(0)) !== null && !pattern.startsWith('@')
  } catch {
    return false
  }
}

function suggestion(field: string, value: string): string | undefined {
  if (field === 'dayOfWeek') return nearest(value.trim(), daysOfWeek)
  if (field === 'consistency') return nearest(value.trim(), consistencies)
  if (field === 'timeZone') return nearest(value.trim(), Intl.supportedValuesOf('timeZone'))
  return undefined
}

const knownTimeZones = new Set<string>()

/** `Intl` also takes offsets such as `+02:00`; those have no daylight saving and are not IANA names. */
function isTimeZone(name: string): boolean {
  if (knownTimeZones.has(name)) return true
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    Intl.DateTimeFormat('en', { timeZone: name })
  } catch {
    return false
  }
  knownTimeZones.add(name)
  return true
}

const stateSchema = z.object({
  since: z.iso.datetime().optional().catch(undefined),
  lastRun: z.object({ time: z.string(), period: z.string(), server: z.string() }).optional().catch(undefined),
  lastGood: z.object({ time: z.string(), period: z.string(), image: z.string() }).optional().catch(undefined),
  next: z.string().optional().catch(undefined),
  problem: z.string().optional().catch(undefined),
  missingSince: z.iso.datetime().optional().catch(undefined),
})

/** `state` is ours, but a person can edit it: what cannot be read is as good as absent. */
function readState(value: unknown): ScheduleState {
  const { data } = stateSchema.safeParse(value)
  return Object.fromEntries(Object.entries(data ?? {}).filter(([, field]) => field !== undefined))
}

function list(words: readonly string[], last: 'and' | 'or'): string {
  if (words.length === 1) return words[0]!
  return `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`
}

function quote(word: string): string {
  return `"${word}"`
}

function show(value: unknown): string {
  const shown = JSON.stringify(value instanceof Set ? [...value] : value) ?? String(value)
  return shown.length > 80 ? `${shown.slice(0, 79)}…` : shown
}
