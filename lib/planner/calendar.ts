import { Cron } from 'croner'
import type { Period } from '../model/run.ts'
import { daysOfWeek, type Schedule } from '../model/schedule.ts'

/** One turn of a schedule for one server. */
export interface Turn {
  readonly period: Period
  /** When it starts: the scheduled instant plus the server's share of `spread`. */
  readonly startsAt: Date
}

type Timing = Pick<Schedule, 'cadence' | 'dayOfWeek' | 'at' | 'timeZone'>

const minuteMs = 60_000

/**
 * The latest turn that has started.
 *
 * A local time that daylight saving skips runs at the first valid instant after it, and one that it repeats runs once,
 * the first time: croner's own rules, held by a table in the tests.
 *
 * @param spreadMinutes - The server's share of `spread`, from {@link spreadOf}.
 * @returns The turn with the greatest `startsAt` ≤ `now`.
 */
export function latestTurn(timing: Timing, spreadMinutes: number, now: Date): Turn {
  return turnBefore(timing, spreadMinutes, new Date(now.getTime() + 1))
}

/** The latest turn that starts strictly before `instant`. */
export function turnBefore(timing: Timing, spreadMinutes: number, instant: Date): Turn {
  // croner works in whole seconds: a reference within a second of the instant would be taken for the instant itself.
  const reference = new Date(Math.ceil((instant.getTime() - spreadMinutes * minuteMs) / 1000) * 1000)
  const [scheduled] = cron(timing).previousRuns(1, reference)
  return turn(timing, scheduled!, spreadMinutes)
}

/** The first turn that starts after `now`. */
export function nextTurn(timing: Timing, spreadMinutes: number, now: Date): Turn {
  const scheduled = cron(timing).nextRun(new Date(now.getTime() - spreadMinutes * minuteMs))
  return turn(timing, scheduled!, spreadMinutes)
}

/**
 * A server's share of `spread`, from its id alone: it never moves while the schedule and the server stay the same.
 *
 * @returns Whole minutes, 0 ≤ share < `spread` (0 when `spread` is 0).
 */
export function spreadOf(schedule: Pick<Schedule, 'spread'>, server: string): number {
  return schedule.spread === 0 ? 0 : fnv1a(server) % schedule.spread
}

function turn(timing: Timing, scheduled: Date, spreadMinutes: number): Turn {
  return { period: localDate(timing.timeZone, scheduled), startsAt: new Date(scheduled.getTime() + spreadMinutes * minuteMs) }
}

const crons = new Map<string, Cron>()

/** A Cron without a callback never schedules anything; it is the pattern and its arithmetic. */
function cron({ at, dayOfWeek, timeZone }: Timing): Cron {
  const day = dayOfWeek === undefined ? '*' : daysOfWeek.indexOf(dayOfWeek)
  const pattern = `${at.minute} ${at.hour} * * ${day}`
  const key = `${pattern} ${timeZone}`
  let known = crons.get(key)
  if (known === undefined) crons.set(key, (known = new Cron(pattern, { timezone: timeZone })))
  return known
}

const formats = new Map<string, Intl.DateTimeFormat>()

function localDate(timeZone: string, instant: Date): string {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' })
    formats.set(timeZone, format)
  }
  return format.format(instant)
}

/** FNV-1a over the UTF-16 code units: small, stable, and even enough to spread servers over an hour. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return hash
}
