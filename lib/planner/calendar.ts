import { Cron } from 'croner'
import type { Period } from '../model/run.ts'
import { daysOfWeek, type Schedule } from '../model/schedule.ts'
import { stableHash } from './stable-hash.ts'

/** One turn of a schedule for one server. */
export interface Turn {
  readonly period: Period
  /** When it starts: the scheduled instant plus the server's share of `spread`. */
  readonly startsAt: Date
}

/** What says when a schedule runs. */
export type Timing = Pick<Schedule, 'cadence' | 'dayOfWeek' | 'dayOfMonth' | 'month' | 'cron' | 'at' | 'timeZone'>

const minuteMs = 60_000
const dayMs = 86_400_000

/**
 * The latest turn that has started.
 *
 * A local time that daylight saving skips runs at the first valid instant after it, and one that it repeats runs once,
 * the first time. A cron does the same when it names one minute and one hour; any other passes over what is skipped, and
 * runs again in what is repeated.
 *
 * @param spreadMinutes - The server's share of `spread`, from {@link spreadOf}.
 * @returns The turn with the greatest `startsAt` ≤ `now`.
 * @throws RangeError for `manual`, which has no turns, and when a cron does not come within some centuries; no such item is valid.
 */
export function latestTurn(timing: Timing, spreadMinutes: number, now: Date): Turn {
  return turnBefore(timing, spreadMinutes, new Date(now.getTime() + 1))
}

/** The latest turn that starts strictly before `instant`; throws as {@link latestTurn} does. */
export function turnBefore(timing: Timing, spreadMinutes: number, instant: Date): Turn {
  const referenceMs = instant.getTime() - spreadMinutes * minuteMs
  const find = timing.cadence === 'custom' ? cronBefore : dateBefore
  return turn(find(timing, referenceMs), spreadMinutes)
}

/** The first turn that starts after `now`; throws as {@link latestTurn} does. */
export function nextTurn(timing: Timing, spreadMinutes: number, now: Date): Turn {
  const referenceMs = now.getTime() - spreadMinutes * minuteMs
  const find = timing.cadence === 'custom' ? cronAfter : dateAfter
  return turn(find(timing, referenceMs), spreadMinutes)
}

/**
 * A server's share of `spread`, from its id alone: it never moves while the schedule and the server stay the same.
 *
 * @returns Whole minutes, 0 ≤ share < `spread` (0 when `spread` is 0).
 */
export function spreadOf(schedule: Pick<Schedule, 'spread'>, server: string): number {
  return schedule.spread === 0 ? 0 : stableHash(server) % schedule.spread
}

/** The date that a zone's calendars show at an instant, such as `2026-11-21`. */
export function localDate(timeZone: string, instant: Date): string {
  return dateText(localDay(zoneOf(timeZone), instant.getTime()))
}

/**
 * The first instant at which a zone's clocks show a date and a time of day, or the first after it when they skip it.
 *
 * @param date - Such as `2026-11-21`.
 */
export function instantOf(timeZone: string, date: string, at: Schedule['at']): Date {
  return new Date(firstInstant(zoneOf(timeZone), Date.parse(date) + timeOfDayMs(at)))
}

/** How far a zone is ahead of UTC at an instant; negative where it is behind. */
export function offsetMs(timeZone: string, instant: Date): number {
  return offsetAt(zoneOf(timeZone), instant.getTime())
}

interface Scheduled {
  readonly period: Period
  readonly instantMs: number
}

function turn({ period, instantMs }: Scheduled, spreadMinutes: number): Turn {
  return { period, startsAt: new Date(instantMs + spreadMinutes * minuteMs) }
}

function dateBefore(timing: Timing, referenceMs: number): Scheduled {
  const zone = zoneOf(timing.timeZone)
  const dates = datesOf(timing)
  // One more than today's: clocks that go back over midnight show yesterday's date again when today's turn has been.
  for (let index = dates.indexOf(localDay(zone, referenceMs)) + 1; ; index -= 1) {
    const day = dates.dayAt(index)
    const instantMs = instantOn(zone, day, timing.at)
    if (instantMs !== undefined && instantMs < referenceMs) return { period: dateText(day), instantMs }
  }
}

function dateAfter(timing: Timing, referenceMs: number): Scheduled {
  const zone = zoneOf(timing.timeZone)
  const dates = datesOf(timing)
  for (let index = dates.indexOf(localDay(zone, referenceMs)); ; index += 1) {
    const day = dates.dayAt(index)
    const instantMs = instantOn(zone, day, timing.at)
    if (instantMs !== undefined && instantMs > referenceMs) return { period: dateText(day), instantMs }
  }
}

/** The dates of a cadence in order, each with an index. A day is the number of days since 1970-01-01. */
interface Dates {
  /** The index of the week, month or year that a day is in. */
  indexOf(day: number): number
  dayAt(index: number): number
}

function datesOf({ cadence, dayOfWeek, dayOfMonth, month }: Timing): Dates {
  switch (cadence) {
    case 'weekly': {
      // 1970-01-01 was a Thursday, and so the first Sunday was day 3.
      const first = 3 + daysOfWeek.indexOf(dayOfWeek!)
      return { indexOf: (day) => Math.floor((day - first) / 7), dayAt: (week) => first + week * 7 }
    }
    case 'monthly':
      return { indexOf: monthOf, dayAt: (index) => dayInMonth(index, dayOfMonth) }
    case 'yearly':
      return { indexOf: (day) => Math.floor(monthOf(day) / 12), dayAt: (year) => dayInMonth(year * 12 + month - 1, dayOfMonth) }
    case 'manual':
      throw new RangeError('A manual schedule has no turns.')
    default:
      return { indexOf: (day) => day, dayAt: (day) => day }
  }
}

/** Months since January 1970. */
function monthOf(day: number): number {
  const date = new Date(day * dayMs)
  return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth()
}

/** The day of a month, or its last when it is shorter. */
function dayInMonth(month: number, dayOfMonth: number): number {
  return Math.min(Date.UTC(1970, month, dayOfMonth), Date.UTC(1970, month + 1, 0)) / dayMs
}

/** When a date has its turn; never when the zone left that whole date out, as Samoa did when it crossed the date line. */
function instantOn(zone: Zone, day: number, at: Schedule['at']): number | undefined {
  const instantMs = firstInstant(zone, day * dayMs + timeOfDayMs(at))
  const pushedOut = localDay(zone, instantMs) > day
  return pushedOut && firstInstant(zone, day * dayMs) === instantMs ? undefined : instantMs
}

function timeOfDayMs({ hour, minute }: Schedule['at']): number {
  return (hour * 60 + minute) * minuteMs
}

function dateText(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}

/** The clocks of one zone, as far as they have been asked for: `Intl` takes microseconds for each look. */
interface Zone {
  readonly format: Intl.DateTimeFormat
  readonly days: Map<number, DayOfClocks>
}

/** One day of UTC. No zone was ever changed twice in one. */
interface DayOfClocks {
  readonly offsetBefore: number
  readonly offsetAfter: number
  /** The first instant of `offsetAfter`; the end of the day when nothing changes. */
  readonly changesAt: number
}

const zones = new Map<string, Zone>()
const digits = { hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' } as const

function zoneOf(timeZone: string): Zone {
  let zone = zones.get(timeZone)
  if (zone === undefined) {
    zone = { format: new Intl.DateTimeFormat('en-US', { timeZone, ...digits }), days: new Map() }
    zones.set(timeZone, zone)
  }
  return zone
}

function localDay(zone: Zone, instantMs: number): number {
  return Math.floor((instantMs + offsetAt(zone, instantMs)) / dayMs)
}

function offsetAt(zone: Zone, instantMs: number): number {
  const { offsetBefore, offsetAfter, changesAt } = clocksOn(zone, Math.floor(instantMs / dayMs))
  return instantMs < changesAt ? offsetBefore : offsetAfter
}

/** The first instant at which clocks show at least a local time, given as if it were UTC. */
function firstInstant(zone: Zone, localMs: number): number {
  for (let day = Math.floor(localMs / dayMs) - 1; ; day += 1) {
    const { offsetBefore, offsetAfter, changesAt } = clocksOn(zone, day)
    if (localMs - offsetBefore < changesAt) return localMs - offsetBefore
    if (localMs - offsetAfter < (day + 1) * dayMs) return Math.max(localMs - offsetAfter, changesAt)
  }
}

function clocksOn(zone: Zone, day: number): DayOfClocks {
  let clocks = zone.days.get(day)
  if (clocks === undefined) {
    const offsetBefore = zone.days.get(day - 1)?.offsetAfter ?? readOffset(zone, day * dayMs)
    const offsetAfter = zone.days.get(day + 1)?.offsetBefore ?? readOffset(zone, (day + 1) * dayMs)
    clocks = { offsetBefore, offsetAfter, changesAt: changeIn(zone, day, offsetBefore, offsetAfter) }
    zone.days.set(day, clocks)
  }
  return clocks
}

function changeIn(zone: Zone, day: number, offsetBefore: number, offsetAfter: number): number {
  let [before, after] = [day * dayMs, (day + 1) * dayMs]
  if (offsetBefore === offsetAfter) return after
  while (after - before > 1000) {
    const middle = Math.floor((before + after) / 2000) * 1000
    if (readOffset(zone, middle) === offsetBefore) before = middle
    else after = middle
  }
  return after
}

/** At a whole second: `Intl` shows no smaller unit. */
function readOffset({ format }: Zone, instantMs: number): number {
  const [month, day, year, hour, minute, second] = format.format(instantMs).match(/\d+/g)!.map(Number)
  return Date.UTC(year!, month! - 1, day, hour, minute, second) - instantMs
}

/** Two instants of a cron, and none between them. */
interface Gap {
  readonly from: Scheduled
  readonly to: Scheduled
}

/** A Cron without a callback never schedules anything; it is the pattern and its arithmetic. */
const crons = new Map<string, Cron>()
/** A Cron takes 80 kB. */
const mostCrons = 200

/** What has been asked for: each question costs croner 0.1 ms, and the servers and ticks of one cron ask for the same. */
const gaps = new Map<string, Gap[]>()
const mostPatterns = 1000
const mostGaps = 300

function cronBefore(timing: Timing, referenceMs: number): Scheduled {
  const known = gapsOf(timing)
  const gap = known.findLast(({ from, to }) => from.instantMs < referenceMs && referenceMs <= to.instantMs)
  if (gap) return gap.from
  const from = scheduledAt(cronOf(timing).previousRuns(1, new Date(referenceMs))[0] ?? never(timing, 'before', referenceMs))
  const to = known.findLast((later) => later.from.instantMs === referenceMs)?.from ?? firstAfter(timing, from.instantMs)
  if (known.length >= mostGaps) known.length = 0
  known.push({ from, to })
  return from
}

function cronAfter(timing: Timing, referenceMs: number): Scheduled {
  const gap = gapsOf(timing).findLast(({ from, to }) => from.instantMs <= referenceMs && referenceMs < to.instantMs)
  return gap ? gap.to : firstAfter(timing, referenceMs)
}

function firstAfter(timing: Timing, referenceMs: number): Scheduled {
  return scheduledAt(cronOf(timing).nextRun(new Date(referenceMs)) ?? never(timing, 'after', referenceMs))
}

function scheduledAt(instant: Date): Scheduled {
  return { period: `${instant.toISOString().slice(0, 16)}Z`, instantMs: instant.getTime() }
}

function never({ cron }: Timing, side: 'before' | 'after', referenceMs: number): never {
  throw new RangeError(`The cron "${cron}" has no instant ${side} ${new Date(referenceMs).toISOString()}.`)
}

function cronOf(timing: Timing): Cron {
  return kept(crons, mostCrons, timing, () => new Cron(timing.cron!, { mode: '5-part', timezone: timing.timeZone }))
}

function gapsOf(timing: Timing): Gap[] {
  return kept(gaps, mostPatterns, timing, () => [])
}

function kept<Value>(values: Map<string, Value>, most: number, { cron, timeZone }: Timing, make: () => Value): Value {
  const key = `${cron} ${timeZone}`
  let value = values.get(key)
  if (value === undefined) {
    if (values.size >= most) values.clear()
    values.set(key, (value = make()))
  }
  return value
}
