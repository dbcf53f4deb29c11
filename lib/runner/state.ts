import type { Schedule, ScheduleState } from '../model/schedule.ts'
import type { Ports, StateChange } from './ports.ts'

/**
 * Writes what changed of an item's `state`, and nothing when nothing did: most ticks change nothing.
 *
 * @returns false when it could not be written; that is logged.
 */
export async function writeState(
  schedule: { readonly cadence: string; readonly name: string; readonly key: string; readonly state: ScheduleState },
  change: StateChange,
  ports: Pick<Ports, 'schedules' | 'log' | 'dryRun'>,
): Promise<boolean> {
  const changed = Object.entries(change).filter(([field, value]) => !same(schedule.state[field as keyof ScheduleState], value))
  if (changed.length === 0 || ports.dryRun) return true
  try {
    await ports.schedules.writeState(schedule, Object.fromEntries(changed))
    return true
  } catch (error) {
    ports.log.error('state could not be written', { schedule: schedule.key, error })
    return false
  }
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** When a schedule began to count. */
export function countsSince(schedule: Schedule, now: Date): Date {
  return schedule.state.since === undefined ? now : new Date(schedule.state.since)
}
