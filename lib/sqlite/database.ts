import { DatabaseSync, type SQLInputValue } from 'node:sqlite'

/** How long a write waits for another process, a timer's for one, that is writing. */
const busyTimeoutMs = 15_000

/**
 * Opens the database of one machine, and makes it where there is none. Several processes can use it at once: each write is a
 * transaction of its own, and none is lost when a process dies.
 */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs })
  database.exec(`
    CREATE TABLE IF NOT EXISTS schedules (cadence TEXT, schedule TEXT, item TEXT NOT NULL, PRIMARY KEY (cadence, schedule)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS runs (
      server TEXT, run TEXT, record TEXT NOT NULL,
      inFlight TEXT AS (record ->> '$.inFlight'), startedAt TEXT AS (record ->> '$.startedAt'), expiresAt INTEGER AS (record ->> '$.expiresAt'),
      PRIMARY KEY (server, run)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS "in-flight" ON runs (inFlight, startedAt) WHERE inFlight IS NOT NULL;
  `)
  return database
}

/** The first column of each row, read as JSON. */
export function readAll(database: DatabaseSync, query: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
  return database.prepare(query).all(...values).map((row) => JSON.parse(String(Object.values(row)[0])) as Record<string, unknown>)
}

/** Does `change` alone: no other process reads or writes between its steps. */
export function alone<Result>(database: DatabaseSync, change: () => Result): Result {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = change()
    database.exec('COMMIT')
    return result
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}
