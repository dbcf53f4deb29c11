import type { DatabaseSync } from 'node:sqlite'
import { parseSchedule, type Cadence, type ParsedSchedule, type ScheduleItem, type ScheduleKey } from '../model/schedule.ts'
import { alone, readAll } from './database.ts'

/** The schedules table on one machine; each item is the JSON that it would be on DynamoDB. */
export class SchedulesTable {
  readonly #database: DatabaseSync

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  async query(cadence: Cadence): Promise<ParsedSchedule[]> {
    return readAll(this.#database, 'SELECT item FROM schedules WHERE cadence = ? ORDER BY schedule', cadence).map(parseSchedule)
  }

  async get({ cadence, name }: ScheduleKey): Promise<ScheduleItem | undefined> {
    return this.#read(cadence, name)
  }

  /** Writes an item where there is none. @returns false when there is one. */
  async create(item: ScheduleItem): Promise<boolean> {
    const { changes } = this.#database
      .prepare('INSERT INTO schedules (cadence, schedule, item) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
      .run(String(item['cadence']), String(item['schedule']), JSON.stringify(item))
    return changes === 1
  }

  /**
   * Sets the given attributes of an item, and removes those that are undefined. Touches no other.
   *
   * @returns false when the item is gone.
   */
  async edit({ cadence, name }: ScheduleKey, attributes: ScheduleItem): Promise<boolean> {
    return this.#replace(cadence, name, (item) => ({ ...item, ...attributes }))
  }

  /** @returns false when it was gone already. */
  async remove({ cadence, name }: ScheduleKey): Promise<boolean> {
    return this.#database.prepare('DELETE FROM schedules WHERE cadence = ? AND schedule = ?').run(cadence, name).changes === 1
  }

  /** Sets the given fields of `state`, and removes those that are undefined. Touches nothing else, and creates nothing. */
  async writeState({ cadence, name }: { cadence: string; name: string }, change: Readonly<Record<string, unknown>>): Promise<void> {
    this.#replace(cadence, name, (item) => {
      const state = item['state']
      return { ...item, state: { ...(typeof state === 'object' ? state : {}), ...change } }
    })
  }

  #replace(cadence: string, name: string, change: (item: ScheduleItem) => ScheduleItem): boolean {
    return alone(this.#database, () => {
      const item = this.#read(cadence, name)
      if (item === undefined) return false
      // JSON leaves out what is undefined.
      this.#database.prepare('UPDATE schedules SET item = ? WHERE cadence = ? AND schedule = ?').run(JSON.stringify(change(item)), cadence, name)
      return true
    })
  }

  #read(cadence: string, name: string): ScheduleItem | undefined {
    return readAll(this.#database, 'SELECT item FROM schedules WHERE cadence = ? AND schedule = ?', cadence, name)[0]
  }
}
