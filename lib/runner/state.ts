import type { Schedule, ScheduleState } from '../model/schedule.ts'
import type { Ports, StateChange } from './ports.ts'

/**
 * Writes what changed of an item's `state`, and nothing when nothing did: most ticks change nothing.
 *
 * A state that cannot be written is logged and no more: it is what people read, and never what a decision about an
 * image rests on.
 */
export async function writeState(
  schedule: { readonly cadence: string; readonly name: string; readonly key: string; readonly state: ScheduleState },
  change: StateChange,
  ports: Pick<Ports, 'schedules' | 'log' | 'dryRun'>,
): Promise<void> {
  const changed = Object.entries(change).filter(([field, value]) => !same(schedule.state[field as keyof ScheduleState], value))
  if (changed.length === 0 || ports.dryRun) return
  try {
    await ports.schedules.writeState(schedule, schedule.state, Object.fromEntries(changed))
  } catch (error) {
    ports.log.warn('state could not be written', { schedule: schedule.key, error })
  }
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** When a schedule began to count. */
export function countsSince(schedule: Schedule, now: Date): Date {
  return schedule.state.since === undefined ? now : new Date(schedule.state.since)
}
