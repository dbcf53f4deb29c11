import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { ScheduledImagesError } from '../model/errors.ts'

/** How long a command waits for another process, a timer's for one, that is writing. */
const defaultBusyTimeoutMs = 15_000

/** SQLite's primary result codes, as far as a person can do something about them. */
const codes = { busy: 5, readOnly: 8, inputOutput: 10, corrupt: 11, full: 13, cannotOpen: 14, notADatabase: 26 } as const

/**
 * The database of one machine. Several processes can use it at once: each write is a transaction of its own, and none is half
 * done when a process dies.
 *
 * Each method throws a ScheduledImagesError: `TABLES_UNAVAILABLE` when another process holds the file or the disk fails,
 * `CONFIGURATION_INVALID` when it is no database or may not be used.
 */
export class Database {
  readonly #path: string
  readonly #busyTimeoutMs: number
  readonly #sqlite: DatabaseSync

  /** Opens the file, and makes it where there is none. */
  constructor(path: string, { busyTimeoutMs = defaultBusyTimeoutMs }: { busyTimeoutMs?: number } = {}) {
    this.#path = path
    this.#busyTimeoutMs = busyTimeoutMs
    this.#sqlite = this.#explained(() => new DatabaseSync(path, { timeout: busyTimeoutMs }))
    this.#explained(() => this.#sqlite.exec(`
      CREATE TABLE IF NOT EXISTS schedules (
        cadence TEXT, schedule TEXT, item TEXT NOT NULL CHECK (json_type(item) = 'object'),
        PRIMARY KEY (cadence, schedule)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS runs (
        server TEXT, run TEXT, record TEXT NOT NULL CHECK (json_type(record) = 'object'),
        inFlight TEXT AS (record ->> '$.inFlight'), startedAt TEXT AS (record ->> '$.startedAt'), expiresAt INTEGER AS (record ->> '$.expiresAt'),
        PRIMARY KEY (server, run)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS "in-flight" ON runs (inFlight, startedAt) WHERE inFlight IS NOT NULL;
    `))
  }

  /** The first column of each row, read as JSON. */
  read(query: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    const rows = this.#explained(() => this.#sqlite.prepare(query).all(...values))
    return rows.map((row) => JSON.parse(String(Object.values(row)[0])) as Record<string, unknown>)
  }

  /** @returns how many rows were changed. */
  write(statement: string, ...values: SQLInputValue[]): number {
    return this.#explained(() => Number(this.#sqlite.prepare(statement).run(...values).changes))
  }

  /** Does `change` alone: no other process writes between its steps, and none sees a part of them. */
  alone<Result>(change: () => Result): Result {
    return this.#explained(() => {
      this.#sqlite.exec('BEGIN IMMEDIATE')
      try {
        const result = change()
        this.#sqlite.exec('COMMIT')
        return result
      } catch (error) {
        // A full disk has ended the transaction already.
        if (this.#sqlite.isTransaction) this.#sqlite.exec('ROLLBACK')
        throw error
      }
    })
  }

  close(): void {
    this.#sqlite.close()
  }

  #explained<Result>(step: () => Result): Result {
    try {
      return step()
    } catch (error) {
      throw this.#explanation(error as Error & { errcode?: number })
    }
  }

  /** What a person can do about an error of SQLite; any other is a bug, and stays as it is. */
  #explanation(error: Error & { errcode?: number }): Error {
    const said = (code: 'TABLES_UNAVAILABLE' | 'CONFIGURATION_INVALID', sentence: string) => new ScheduledImagesError(code, sentence, { cause: error })
    const path = this.#path
    // The upper bits tell more than is needed.
    switch (error.errcode === undefined ? undefined : error.errcode & 0xff) {
      case codes.busy:
        return said('TABLES_UNAVAILABLE', `The tables in ${path} are in use: another process has not let go of them for ${this.#busyTimeoutMs / 1000} s. Try again when it has ended; "fuser ${path}" names it.`)
      case codes.full:
      case codes.inputOutput:
        return said('TABLES_UNAVAILABLE', `The tables in ${path} could not be read or written (${error.message}), and nothing was changed. Is the disk full?`)
      case codes.readOnly:
        return said('CONFIGURATION_INVALID', `The tables in ${path} may not be written. Make the file and its directory writable for this user, or be the user whose they are.`)
      case codes.cannotOpen:
        return said('CONFIGURATION_INVALID', `The tables in ${path} cannot be opened. Make the directory writable for this user, or name another one.`)
      case codes.corrupt:
      case codes.notADatabase:
        return said('CONFIGURATION_INVALID', `${path} is no database, or a damaged one (${error.message}). Put a backup in its place, or move it away to begin with empty tables.`)
      default:
        return error
    }
  }
}
