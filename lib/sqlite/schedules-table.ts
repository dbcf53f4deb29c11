import { parseSchedule, type Cadence, type ParsedSchedule, type ScheduleItem, type ScheduleKey } from '../model/schedule.ts'
import type { Database } from './database.ts'

/** The schedules table on one machine; each item is the JSON that it would be on DynamoDB. */
export class SchedulesTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async query(cadence: Cadence): Promise<ParsedSchedule[]> {
    return this.#database.read('SELECT item FROM schedules WHERE cadence = ? ORDER BY schedule', cadence).map(parseSchedule)
  }

  async get({ cadence, name }: ScheduleKey): Promise<ScheduleItem | undefined> {
    return this.#read(cadence, name)
  }

  /** Writes an item where there is none. @returns false when there is one. */
  async create(item: ScheduleItem): Promise<boolean> {
    const statement = 'INSERT INTO schedules (cadence, schedule, item) VALUES (?, ?, ?) ON CONFLICT DO NOTHING'
    return this.#database.write(statement, String(item['cadence']), String(item['schedule']), JSON.stringify(item)) === 1
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
    return this.#database.write('DELETE FROM schedules WHERE cadence = ? AND schedule = ?', cadence, name) === 1
  }

  /** Sets the given fields of `state`, and removes those that are undefined. Touches nothing else, and creates nothing. */
  async writeState({ cadence, name }: { cadence: string; name: string }, change: Readonly<Record<string, unknown>>): Promise<void> {
    this.#replace(cadence, name, (item) => {
      const state = item['state']
      const map = typeof state === 'object' && !Array.isArray(state) ? state : {}
      return { ...item, state: { ...map, ...change } }
    })
  }

  #replace(cadence: string, name: string, change: (item: ScheduleItem) => ScheduleItem): boolean {
    return this.#database.alone(() => {
      const item = this.#read(cadence, name)
      if (item === undefined) return false
      // JSON leaves out what is undefined.
      this.#database.write('UPDATE schedules SET item = ? WHERE cadence = ? AND schedule = ?', JSON.stringify(change(item)), cadence, name)
      return true
    })
  }

  #read(cadence: string, name: string): ScheduleItem | undefined {
    return this.#database.read('SELECT item FROM schedules WHERE cadence = ? AND schedule = ?', cadence, name)[0]
  }
}
