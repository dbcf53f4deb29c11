import type { ErrorCode } from '../model/errors.ts'
import type { Run } from '../model/run.ts'
import type { Schedule } from '../model/schedule.ts'
import { latestTurn, nextTurn, spreadOf, turnBefore, type Turn } from './calendar.ts'

/** What a snapshot tick does about one server of one schedule. */
export type Decision = (
  | /** Claim it and ask for the image. `after` is the failed run that this attempt follows. */
  { readonly kind: 'due'; readonly turn: Turn; readonly until: Date; readonly attempt: number; readonly after?: Run }
  | /** Leave it alone; `reason` finishes the sentence "not due: …". `next` is when that changes. */
  { readonly kind: 'not due'; readonly reason: NotDueReason; readonly next: Date }
) & {
  /** The previous turn's run: its period is over, and it failed. */
  readonly missed?: Run
  /** The previous turn, if it should have had a run and had none. */
  readonly unattempted?: Turn
}

export type NotDueReason =
  | 'the schedule is waiting for its first instant'
  | 'this period has its good image'
  | 'the image of this period is being made'
  | 'the image of the previous period is still being made'
  | 'the last attempt failed and the next one is later'
  | 'this period was given up'

/** The turns of one server that a decision needs to know the runs of. */
export interface Turns {
  readonly current: Turn
  readonly previous: Turn
  readonly next: Turn
}

/**
 * The turns around `now` of one schedule for one server.
 *
 * @param server - UUID; while a name has not been resolved, undefined: then the earliest start of any server counts.
 */
export function turnsAt(schedule: Schedule, server: string | undefined, now: Date): Turns {
  const spread = server === undefined ? 0 : spreadOf(schedule, server)
  const current = latestTurn(schedule, spread, now)
  return { current, previous: turnBefore(schedule, spread, current.startsAt), next: nextTurn(schedule, spread, now) }
}

/**
 * Decides whether one server of one schedule is due.
 *
 * Due is the latest turn that has started and has no good and no live run: missed turns of any number collapse into it.
 *
 * @param since - When the schedule began to count. With `onEnable: next` a turn that started earlier is not due.
 * @param server - UUID.
 * @param runs - The runs of the current turn and, where that has none, of the previous one, as the runs table holds them.
 * @param now - The tick's scheduled time, so that a replay decides the same.
 */
export function decideDue(
  schedule: Pick<Schedule, 'onEnable' | 'state'>,
  server: string,
  turns: Turns,
  runs: { readonly current: Run | undefined; readonly previous: Run | undefined },
  since: Date,
  now: Date,
): Decision {
  const next = turns.next.startsAt
  const { current, previous } = runs
  if (current === undefined) {
    const lost = lostTurn(schedule, server, turns, previous, since)
    if (schedule.onEnable === 'next' && turns.current.startsAt < since) {
      return { kind: 'not due', reason: 'the schedule is waiting for its first instant', next, ...lost }
    }
    if (previous?.status === 'starting' || previous?.status === 'saving') {
      return { kind: 'not due', reason: 'the image of the previous period is still being made', next }
    }
    return { kind: 'due', turn: turns.current, until: next, attempt: 1, ...lost }
  }
  switch (current.status) {
    case 'good':
      return { kind: 'not due', reason: 'this period has its good image', next }
    case 'starting':
    case 'saving':
      return { kind: 'not due', reason: 'the image of this period is being made', next }
    case 'missed':
      return { kind: 'not due', reason: 'this period was given up', next }
    case 'failed': {
      const retryAt = current.retryAt ?? now
      if (retryAt <= now) return { kind: 'due', turn: turns.current, until: next, attempt: current.attempt + 1, after: current }
      return { kind: 'not due', reason: 'the last attempt failed and the next one is later', next: retryAt < next ? retryAt : next }
    }
  }
}

/**
 * Whether the previous turn was lost: its run failed, or it has none although the schedule counted and had run before. The
 * item's own memory of its last run tells that from a schedule that is new, that was moved, or that has another server now.
 */
function lostTurn({ state }: Pick<Schedule, 'state'>, server: string, { previous: turn }: Turns, previous: Run | undefined, since: Date): Pick<Decision, 'missed' | 'unattempted'> {
  if (previous?.status === 'failed') return { missed: previous }
  const ranBefore = state.lastRun?.server === server && state.lastRun.period < turn.period
  return previous === undefined && turn.startsAt >= since && ranBefore ? { unattempted: turn } : {}
}

/** For this long after the last server's start, or the last attempt, a selector is looked at at each tick, whatever its item says. */
const watchedMs = 60 * 60_000

/**
 * Whether the servers that a selector matches have to be looked up: when a server is next, around each turn, so that new
 * servers are found in time, and after each attempt, since an invocation may end before it has written what became of it. In
 * between nothing is asked of OpenStack.
 */
export function isSelectorDue(schedule: Schedule, now: Date): boolean {
  const next = Date.parse(schedule.state.next ?? '')
  if (Number.isNaN(next) || next <= now.getTime()) return true
  const lastStart = latestTurn(schedule, 0, now).startsAt.getTime() + schedule.spread * minuteMs
  const lastAttempt = Date.parse(schedule.state.lastRun?.time ?? '')
  // One of the future was written while a clock was wrong.
  return now.getTime() < Math.max(lastStart, lastAttempt <= now.getTime() ? lastAttempt : 0) + watchedMs
}

const minuteMs = 60_000
const firstRetryMs = 15 * minuteMs
const longestRetryMs = 240 * minuteMs
/** A quota is not lifted by asking again, a stuck server not freed, and a locked one not unlocked. */
const hopelessRetryMs = 60 * minuteMs
const hopeless = new Set<ErrorCode>(['SERVER_STUCK', 'SERVER_LOCKED', 'QUIESCE_NOT_REQUIRED', 'QUOTA_IMAGES', 'QUOTA_VOLUME_SNAPSHOTS'])
/** One more look for the image whose answer was lost before another is asked for. */
const lostRetryMs = 30 * minuteMs

/**
 * When a failed run may be claimed again: about 15 minutes after the failure, doubling to 4 hours. A busy server and a
 * cloud that could not be entered are asked again after 15 minutes each time, as it costs them next to nothing; a used-up
 * quota, a stuck or a locked server after an hour each time, as only a person can help; a server that does not exist after 4
 * hours each time.
 *
 * @param attempt - The attempt that failed, from 1.
 */
export function retryAt(attempt: number, code: ErrorCode, now: Date): Date {
  // A minute less, or a tick that comes a second early would make each wait one tick longer.
  return new Date(now.getTime() + retryWaitMs(attempt, code) - minuteMs)
}

function retryWaitMs(attempt: number, code: ErrorCode): number {
  if (code === 'SERVER_BUSY' || code.startsWith('CLOUD_')) return firstRetryMs
  if (code === 'SERVER_NOT_FOUND') return longestRetryMs
  if (hopeless.has(code)) return hopelessRetryMs
  const wait = Math.min(firstRetryMs * 2 ** (attempt - 1), longestRetryMs)
  return code === 'ANSWER_LOST' ? Math.max(wait, lostRetryMs) : wait
}

/**
 * What a person wants to know of a failed attempt beside its reason.
 *
 * @param again - From {@link retryAt}.
 * @param until - When the next period begins, and retries end.
 */
export function retrySentence(attempt: number, again: Date, until: Date): string {
  if (again >= until) return `Attempt ${attempt} failed, and there is none after it in this period.`
  return `Attempt ${attempt} failed; the next one is made after ${again.toISOString().slice(0, 16).replace('T', ' ')} UTC.`
}

/** Since when each attempt has found the server busy, up to this failed one; undefined when it did not. */
export function busySince(failed: Run | undefined): Date | undefined {
  const wasBusy = failed?.problem?.code === 'SERVER_BUSY' || failed?.problem?.code === 'SERVER_STUCK'
  return wasBusy ? (failed.busySince ?? failed.startedAt) : undefined
}
