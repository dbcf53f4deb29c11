import type { ParsedSchedule, Schedule } from '../model/schedule.ts'
import { latestTurn, nextTurn, spreadOf, type Turn } from './calendar.ts'

/** Whether a schedule has the good images that it should have by now, by its own turns. */
export type Freshness =
  | /** Its latest turn has its good image. */ { readonly verdict: 'fresh' }
  | /** No turn has come since it began to count, or no function has seen it enabled yet. */ { readonly verdict: 'new' }
  | {
      /** `late`: a turn has no good image yet, and still has time: it is being made, or tried again. `overdue`: that time is over. */
      readonly verdict: 'late' | 'overdue'
      /** The first turn since the last good image. */
      readonly turn: Turn
      /** When it became overdue, or becomes so. */
      readonly overdueAt: Date
    }
  | /** Nothing is made, and nothing is meant to be. */ { readonly verdict: 'disabled' }
  | /** It has no turns: a person asks for each image. */ { readonly verdict: 'manual' }
  | /** Nothing is made, since the item cannot be used. */ { readonly verdict: 'invalid' }

const hourMs = 3_600_000
/** A tick starts an image, one of the next ones finds it good, and in between it is made. */
const leastGraceMs = hourMs
/** As long as an image may take before it counts as stuck. */
const mostGraceMs = 6 * hourMs

/**
 * Judges a schedule by what its `state` shows: a weekly one is as fresh six days after its image as on the first.
 *
 * A turn's grace is half of the time until the next turn, an hour at least and six at most. Of a selector, `state` knows the
 * last good image of any of its servers only: it is overdue when none of them has one. Before a server is known, a turn
 * begins when the last of all may start.
 *
 * @param now - Any instant; times in `state` that are after it were written while a clock was wrong.
 */
export function freshnessOf(parsed: ParsedSchedule, now: Date): Freshness {
  if (!parsed.valid) return { verdict: 'invalid' }
  const { schedule } = parsed
  if (!schedule.enabled) return { verdict: 'disabled' }
  if (schedule.cadence === 'manual') return { verdict: 'manual' }
  if (schedule.state.since === undefined) return { verdict: 'new' }

  const since = new Date(Math.min(Date.parse(schedule.state.since), now.getTime()))
  const spreadMinutes = spreadFor(schedule)
  const lastGood = lastGoodOf(schedule, now)
  const goodPeriod = lastGood?.period ?? ''
  if (goodPeriod >= latestTurn(schedule, spreadMinutes, now).period) return { verdict: 'fresh' }
  const first = firstTurn(schedule, spreadMinutes, since)
  let turn = lastGood && lastGood.time > since ? nextTurn(schedule, spreadMinutes, lastGood.time) : first
  // A clock of the cloud may be behind, and the time of day may have been changed since: its period says which turn an image is of.
  while (turn.period <= goodPeriod) turn = nextTurn(schedule, spreadMinutes, turn.startsAt)

  if (turn.startsAt > now) return { verdict: turn === first ? 'new' : 'fresh' }
  const untilNextMs = nextTurn(schedule, spreadMinutes, turn.startsAt).startsAt.getTime() - turn.startsAt.getTime()
  const overdueAt = new Date(turn.startsAt.getTime() + Math.min(Math.max(untilNextMs / 2, leastGraceMs), mostGraceMs))
  return { verdict: now < overdueAt ? 'late' : 'overdue', turn, overdueAt }
}

/** With `onEnable: now` the turn before counts as well, from when it was seen. */
function firstTurn(schedule: Schedule, spreadMinutes: number, since: Date): Turn {
  if (schedule.onEnable === 'now') return { ...latestTurn(schedule, spreadMinutes, since), startsAt: since }
  return nextTurn(schedule, spreadMinutes, new Date(since.getTime() - 1))
}

function spreadFor(schedule: Schedule): number {
  const { server, state, spread } = schedule
  if ('selector' in server) return spread
  const id = 'id' in server ? server.id : state.lastRun?.server
  return id === undefined ? spread : spreadOf(schedule, id)
}

/** A time that a person broke counts as absent. */
function lastGoodOf({ state: { lastGood } }: Schedule, now: Date): { readonly time: Date; readonly period: string } | undefined {
  if (!lastGood) return undefined
  const time = new Date(Math.min(Date.parse(lastGood.time), now.getTime()))
  return Number.isNaN(time.getTime()) ? undefined : { time, period: lastGood.period }
}
