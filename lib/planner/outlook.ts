import type { Period } from '../model/run.ts'
import type { Schedule } from '../model/schedule.ts'
import { localDate, nextTurn, offsetMs, spreadOf, type Timing } from './calendar.ts'

/** One run that is to come. */
export interface Upcoming {
  readonly period: Period
  /** When it starts, the server's share of `spread` included. */
  readonly startsAt: Date
  /** The same on the schedule's clocks, with how far they are ahead of UTC: `2026-10-25 02:30 +02:00`. */
  readonly local: string
  /**
   * What clocks do to it, without a full stop; absent when they do nothing. They were changed since the run before, or
   * since the outlook began, and are not changed back; or the schedule's time of day does not come, or comes twice.
   */
  readonly clockChange?: string
}

const minuteMs = 60_000
const dayMs = 86_400_000

/**
 * The next runs of a schedule for one server, by its timing alone: whether it is enabled does not count.
 *
 * @param server - UUID; while it is not known, undefined: then the earliest start of any server.
 * @param count - How many runs; a whole number.
 * @returns The runs that start after `from`, in order.
 */
export function outlook(schedule: Timing & Pick<Schedule, 'spread'>, server: string | undefined, from: Date, count: number): Upcoming[] {
  const spreadMinutes = server === undefined ? 0 : spreadOf(schedule, server)
  const runs: Upcoming[] = []
  for (let before = from; runs.length < count; before = runs.at(-1)!.startsAt) {
    const { period, startsAt } = nextTurn(schedule, spreadMinutes, before)
    const scheduled = new Date(startsAt.getTime() - spreadMinutes * minuteMs)
    const changes = [shift(schedule.timeZone, before, startsAt), oddity(schedule, period, scheduled, startsAt)].filter((change) => change !== undefined)
    runs.push({
      period,
      startsAt,
      local: `${clockText(schedule.timeZone, startsAt)} ${offsetText(offsetMs(schedule.timeZone, startsAt))}`,
      ...(changes.length > 0 && { clockChange: changes.join(': ') }),
    })
  }
  return runs
}

/** By how much clocks differ from what they were. */
function shift(timeZone: string, before: Date, after: Date): string | undefined {
  const ahead = offsetMs(timeZone, after) - offsetMs(timeZone, before)
  if (ahead === 0) return undefined
  return `clocks went ${ahead > 0 ? 'forward' : 'back'} by ${durationText(Math.abs(ahead))}`
}

/** What is odd about the time of day at which a run is scheduled. */
function oddity(timing: Timing, period: Period, scheduled: Date, startsAt: Date): string | undefined {
  const { timeZone, cadence } = timing
  const at = timeOfDay(timing)
  if (at === undefined) return undefined
  const date = cadence === 'custom' ? localDate(timeZone, scheduled) : period
  if (clockText(timeZone, scheduled) !== `${date} ${at}`) {
    const [startDate, startTime] = clockText(timeZone, startsAt).split(' ')
    return `${at} is skipped on this day; it runs at ${startTime}${startDate === date ? '' : ` on ${startDate}`}`
  }
  if (!comesAgain(timeZone, scheduled)) return undefined
  const lateMs = startsAt.getTime() - scheduled.getTime()
  return `${at} comes twice on this day; it runs ${lateMs === 0 ? 'the first time' : `${durationText(lateMs)} after the first time`}`
}

/** The time of day that a schedule names, as `HH:MM`; none for a cron that names several. */
function timeOfDay({ cadence, at, cron }: Timing): string | undefined {
  if (cadence !== 'custom') return `${twoDigits(at.hour)}:${twoDigits(at.minute)}`
  const fixed = /^(\d+) (\d+) /.exec(cron!)
  return fixed === null ? undefined : `${twoDigits(Number(fixed[2]))}:${twoDigits(Number(fixed[1]))}`
}

function comesAgain(timeZone: string, instant: Date): boolean {
  const dayLater = offsetMs(timeZone, new Date(instant.getTime() + dayMs))
  const backMs = offsetMs(timeZone, instant) - dayLater
  return backMs > 0 && offsetMs(timeZone, new Date(instant.getTime() + backMs)) === dayLater
}

/** What clocks show: `2026-10-25 02:30`. */
function clockText(timeZone: string, instant: Date): string {
  return new Date(instant.getTime() + offsetMs(timeZone, instant)).toISOString().slice(0, 16).replace('T', ' ')
}

function offsetText(offsetMs: number): string {
  const minutes = Math.abs(offsetMs) / minuteMs
  return `${offsetMs < 0 ? '-' : '+'}${twoDigits(Math.floor(minutes / 60))}:${twoDigits(Math.floor(minutes % 60))}`
}

function durationText(durationMs: number): string {
  const [hours, minutes] = [Math.floor(durationMs / (60 * minuteMs)), (durationMs / minuteMs) % 60]
  return [hours > 0 && `${hours} h`, minutes > 0 && `${minutes} min`].filter(Boolean).join(' ')
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}
