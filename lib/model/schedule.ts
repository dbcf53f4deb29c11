import * as z from 'zod'
import { nearest } from './nearest.ts'

/** The cadences that have a timer function. */
export const cadences = ['daily', 'weekly'] as const
export type Cadence = (typeof cadences)[number]

/** In croner's and cron's order: Sunday is 0. */
export const daysOfWeek = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const
export type DayOfWeek = (typeof daysOfWeek)[number]

/** How an item names its server: a UUID is taken as it is, a name must match exactly one server. */
export type ServerReference = { readonly id: string } | { readonly name: string }

/**
 * What the service writes back, the item's status page. All of it may be absent; nothing decides on it alone but
 * `since` and, for items that give their server by name, `lastRun.server`.
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
}

/** One valid item of the schedules table. */
export interface Schedule {
  readonly cadence: Cadence
  readonly name: string
  /** `<cadence>/<name>`: how images, runs, events and logs name it. */
  readonly key: string
  readonly server: ServerReference
  readonly cloud: string
  /** Newest good images to keep, for each server; 1–65535. */
  readonly retention: number
  /** Set for weekly. */
  readonly dayOfWeek: DayOfWeek | undefined
  /** Local time of day. */
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

export type ParsedSchedule =
  | { readonly valid: true; readonly schedule: Schedule }
  | { readonly valid: false; readonly invalid: InvalidSchedule }

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
/** Glance refuses control characters and anything outside the Basic Multilingual Plane in a property (lab finding). */
const unprintable = /[\p{Cc}\p{Cs}\u{10000}-\u{10ffff}]/u

const number = z.preprocess((value) => (typeof value === 'string' && /^\s*\d+\s*$/.test(value) ? Number(value) : value), z.number().int())
const boolean = z.preprocess((value) => {
  if (typeof value !== 'string') return value
  return { true: true, false: false }[value.trim().toLowerCase()] ?? value
}, z.boolean())
const word = z.preprocess((value) => (typeof value === 'string' ? value.trim().toLowerCase() : value), z.string())
const text = z.string().trim().min(1)
const strings = z.preprocess((value) => (value instanceof Set ? [...value] : value), z.array(text))

/** Each attribute: its schema, and how to finish the sentence "`x` must be …". */
const attributes = {
  cadence: [z.enum(cadences), `one of ${list(cadences, 'or')}`],
  schedule: [
    z.string().min(1).max(128).refine((name) => !unprintable.test(name) && name.trim() === name),
    '1 to 128 printable characters without emoji or space at either end, since images carry it as a property',
  ],
  server: [text.max(255), "a server's UUID, or a name that matches exactly one server"],
  cloud: [z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/).default('default'), 'the name of a cloud parameter: letters, digits, "_", "." and "-"'],
  retention: [number.pipe(z.number().min(1).max(65_535)), 'a whole number from 1 to 65535'],
  dayOfWeek: [word.pipe(z.enum(daysOfWeek)).optional(), `one of ${list(daysOfWeek, 'or')}`],
  at: [
    z.string().trim().regex(/^([01]\d|2[0-3]):[0-5]\d$/).default('01:00'),
    'a local time of day as HH:MM, 00:00 to 23:59',
  ],
  spread: [number.pipe(z.number().min(0).max(1440)).default(60), 'a whole number of minutes from 0 to 1440'],
  timeZone: [text.refine(isTimeZone).default('UTC'), 'an IANA time zone such as Europe/Stockholm'],
  enabled: [boolean.default(true), 'true or false'],
  onEnable: [word.pipe(z.enum(['next', 'now'])).default('next'), '"next" or "now"'],
  adopts: [strings.pipe(z.array(z.string().regex(/^[a-z]+\/.{1,128}$/u))).default([]), 'a list of <cadence>/<schedule> names'],
  imageName: [
    text.max(255).refine((template) => /\{time\}|\{period\}/.test(template)).default('{cadence}-{server}-{time}'),
    'a template of at most 255 characters that holds {time} or {period}, and may hold {cadence}, {server} and {schedule}',
  ],
} as const satisfies Record<string, readonly [z.ZodType, string]>

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
    if (name in attributes || written.has(name)) continue
    const meant = nearest(name, Object.keys(attributes))
    faults.push({
      field: name,
      message: `${quote(name)} is not an attribute that this version knows; ${meant ? `did you mean ${quote(meant)}?` : `it knows ${list(Object.keys(attributes), 'and')}.`}`,
    })
  }
  const parsed = itemSchema.safeParse(item)
  for (const field of new Set(parsed.error?.issues.map((issue) => String(issue.path[0])))) faults.push(fault(field, item[field]))
  if (item['cadence'] === 'weekly' && item['dayOfWeek'] === undefined) {
    faults.push({ field: 'dayOfWeek', message: `dayOfWeek is required for weekly: ${attributes.dayOfWeek[1]}.` })
  }
  if (item['cadence'] === 'daily' && item['dayOfWeek'] !== undefined) {
    faults.push({ field: 'dayOfWeek', message: 'dayOfWeek belongs to weekly; remove it, or use the cadence weekly.' })
  }

  const name = String(item['schedule'])
  const key = `${String(item['cadence'])}/${name}`
  const state = readState(item['state'])
  const [first, ...others] = faults
  if (first !== undefined || !parsed.success) {
    const cloud = typeof item['cloud'] === 'string' ? item['cloud'] : 'default'
    return { valid: false, invalid: { cadence: String(item['cadence']), name, key, cloud, faults: [first!, ...others], state } }
  }
  const { schedule: _name, at, server, ...rest } = parsed.data
  return {
    valid: true,
    schedule: {
      ...rest,
      name,
      key,
      server: uuidPattern.test(server) ? { id: server.toLowerCase() } : { name: server },
      dayOfWeek: rest.dayOfWeek,
      at: { hour: Number(at.slice(0, 2)), minute: Number(at.slice(3)) },
      state,
    },
  }
}

/** An invalid item's faults as the one sentence of `state.problem`, the event and the log line. */
export function invalidSentence({ faults }: InvalidSchedule): string {
  return faults.map(({ message }) => message).join(' ')
}

function fault(field: string, value: unknown): Fault {
  const expected = attributes[field as keyof typeof attributes][1]
  if (value === undefined) return { field, message: `${field} is required: ${expected}.` }
  const meant = typeof value === 'string' ? suggestion(field, value) : undefined
  return { field, message: `${field} must be ${expected}, not ${show(value)}.${meant ? ` Did you mean ${quote(meant)}?` : ''}` }
}

function suggestion(field: string, value: string): string | undefined {
  if (field === 'dayOfWeek') return nearest(value.trim(), daysOfWeek)
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
})

/** `state` is ours, but a person can edit it: what cannot be read is as good as absent. */
function readState(value: unknown): ScheduleState {
  const { data } = stateSchema.safeParse(value)
  return Object.fromEntries(Object.entries(data ?? {}).filter(([, field]) => field !== undefined))
}

function list(words: readonly string[], last: 'and' | 'or'): string {
  return `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`
}

function quote(word: string): string {
  return `"${word}"`
}

function show(value: unknown): string {
  const shown = JSON.stringify(value instanceof Set ? [...value] : value) ?? String(value)
  return shown.length > 80 ? `${shown.slice(0, 79)}…` : shown
}
