import type { Run } from '../model/run.ts'
import type { InvalidSchedule, Schedule, ScheduleState } from '../model/schedule.ts'
import type { Ports, StateChange } from './ports.ts'

/**
 * Writes what changed of an item's `state`, and nothing when nothing did: most ticks change nothing.
 *
 * @returns false when it could not be written; that is logged.
 */
export async function writeState(
  schedule: Pick<Schedule | InvalidSchedule, 'cadence' | 'name' | 'key' | 'state'>,
  change: StateChange,
  ports: Pick<Ports, 'schedules' | 'log' | 'dryRun'>,
): Promise<boolean> {
  const changed = changesOf(schedule.state, change)
  if (changed.length === 0 || ports.dryRun) return true
  try {
    await ports.schedules.writeState(schedule, Object.fromEntries(changed))
    return true
  } catch (error) {
    ports.log.error('state could not be written', { schedule: schedule.key, error })
    return false
  }
}

/** Whether {@link writeState} has anything to write. */
export function isChanged({ schedule, change }: { readonly schedule: Pick<Schedule, 'state'>; readonly change: StateChange }): boolean {
  return changesOf(schedule.state, change).length > 0
}

function changesOf(state: ScheduleState, change: StateChange): [field: string, value: unknown][] {
  return Object.entries(change).filter(([field, value]) => !same(state[field as keyof ScheduleState], value))
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

/** When a schedule began to count; an instant that has not come yet by the clock was written while a clock was wrong. */
export function countsSince({ state: { since } }: Schedule, now: Date, clock: Date): Date {
  return since === undefined || Date.parse(since) > Math.max(clock.getTime(), now.getTime()) ? now : new Date(since)
}

/** What a selector's item says of all the servers that it matches. */
export function membersState(state: ScheduleState, members: readonly { readonly serverName: string; readonly change: StateChange }[]): StateChange {
  const changes = members.map(({ change }) => change)
  const troubled = members.filter(({ change }) => change.problem !== undefined)
  return {
    next: changes.map(({ next }) => next).filter((next) => next !== undefined).toSorted()[0],
    problem: problemOf(troubled.map(({ serverName, change }) => ({ serverName, message: change.problem! })), members.length),
    ...latest('lastRun', [state, ...changes]),
    ...latest('lastGood', [state, ...changes]),
  }
}

/**
 * What an item says once runs of it were settled.
 *
 * @param settled - The runs, and what each would have the item say.
 * @param now - A selector's item that tells of a problem is looked at again now, since one server's success says nothing of the others.
 */
export function settledState({ state, ...item }: Schedule | InvalidSchedule, settled: readonly { readonly run: Run; readonly change: StateChange }[], now: Date): StateChange {
  const changes = settled.map(({ change }) => change)
  if ('server' in item && 'selector' in item.server) {
    const troubled = settled.filter(({ change }) => change.problem !== undefined)
    const retries = changes.map(({ next }) => next).filter((next) => next !== undefined)
    const problem = problemOf(troubled.map(({ run, change }) => ({ serverName: run.serverName, message: change.problem! })), undefined)
    return {
      ...latest('lastGood', [state, ...changes]),
      ...(problem !== undefined && { problem }),
      ...(state.problem !== undefined && troubled.length < settled.length ? { next: now.toISOString() } : retries.length > 0 && { next: [...retries, state.next ?? retries[0]!].toSorted()[0] }),
    }
  }
  const shown: { -readonly [Field in keyof StateChange]: StateChange[Field] } = {}
  for (const { run, change } of settled.toSorted((a, b) => (a.run.period < b.run.period ? -1 : 1))) {
    // A problem only while no later run is there to have its own.
    const { problem: _problem, next: _next, ...lasting } = change
    Object.assign(shown, state.lastRun === undefined || state.lastRun.period === run.period ? change : lasting)
    // Nobody tries a manual image again.
    if (item.cadence === 'manual') delete shown.next
  }
  return shown
}

function problemOf(troubled: readonly { readonly serverName: string; readonly message: string }[], of: number | undefined): string | undefined {
  const [first, ...others] = troubled
  if (!first) return undefined
  const count = of === undefined ? `${troubled.length} servers have` : `${troubled.length} of ${of} servers have`
  return others.length === 0 ? `Server "${first.serverName}": ${first.message}` : `${count} a problem; the first is "${first.serverName}": ${first.message}`
}

function latest<Field extends 'lastRun' | 'lastGood'>(field: Field, changes: readonly StateChange[]): Pick<StateChange, Field> | undefined {
  const known = changes.map((change) => change[field]).filter((value) => value !== undefined)
  const [newest] = known.toSorted((a, b) => (a.time > b.time ? -1 : 1))
  return newest && ({ [field]: newest } as Pick<StateChange, Field>)
}
