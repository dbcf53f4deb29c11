import { cadences, parseSchedule, type Cadence, type ParsedSchedule, type ScheduleState } from '../../lib/model/schedule.ts'
import type { Schedules, StateChange } from '../../lib/runner/ports.ts'
import type { Item } from './estate.ts'

/** The schedules table in memory. An item is parsed when people write it, since most ticks find it as it was. */
export class MemorySchedules implements Schedules {
  readonly #items = new Map<string, Item>()
  readonly #parsed = new Map(cadences.map((cadence) => [cadence, new Map<string, ParsedSchedule>()]))

  /** Writes an item, and leaves the state of one that is there as it is. */
  put(item: Item): void {
    const { cadence, schedule } = item
    this.#items.set(`${cadence}/${schedule}`, item)
    const attributes = Object.entries({ ...item, state: this.#stateOf(cadence, schedule) }).filter(([, value]) => value !== undefined)
    this.#parsed.get(cadence)!.set(schedule, parseSchedule(Object.fromEntries(attributes)))
  }

  /** Changes attributes of an item; undefined takes one away. */
  edit(key: string, change: { readonly [Name in keyof Item]?: Item[Name] | undefined }): void {
    this.put({ ...this.#items.get(key)!, ...change } as Item)
  }

  drop(key: string): void {
    const { cadence, schedule } = this.#items.get(key)!
    this.#items.delete(key)
    this.#parsed.get(cadence)!.delete(schedule)
  }

  async query(cadence: Cadence): Promise<ParsedSchedule[]> {
    return [...this.#parsed.get(cadence)!.values()]
  }

  async writeState({ cadence, name }: { cadence: string; name: string }, change: StateChange): Promise<void> {
    const items = this.#parsed.get(cadence as Cadence)!
    const parsed = items.get(name)
    if (!parsed) return
    const fields = Object.entries({ ...this.#stateOf(cadence as Cadence, name), ...change }).filter(([, value]) => value !== undefined)
    const state: ScheduleState = Object.fromEntries(fields)
    items.set(name, parsed.valid ? { valid: true, schedule: { ...parsed.schedule, state } } : { valid: false, invalid: { ...parsed.invalid, state } })
  }

  #stateOf(cadence: Cadence, name: string): ScheduleState | undefined {
    const parsed = this.#parsed.get(cadence)!.get(name)
    return parsed?.valid ? parsed.schedule.state : parsed?.invalid.state
  }
}
