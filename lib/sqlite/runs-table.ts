import {
  deletionKey, lastPruneOf, pruneKey, pruneRecord, recordKind, RecordReader, restartKey, runRecord, runRecordKey, serversOf, sweepKey, unfinishedRecord, type LastPrune, type OnUnreadable, type RecordKey,
} from '../model/record.ts'
import { runKeyText, type Deletion, type Restart, type Run, type RunKey, type Sweep } from '../model/run.ts'
import type { Database } from './database.ts'

/** The runs table on one machine, with the records of `lib/model/record.ts`. */
export class RunsTable {
  readonly #database: Database
  readonly #reader: RecordReader

  constructor(database: Database, onUnreadable: OnUnreadable) {
    this.#database = database
    this.#reader = new RecordReader(onUnreadable)
  }

  async get(keys: readonly RunKey[]): Promise<Map<string, Run>> {
    const runs = this.#reader.runs(keys.map((key) => this.#read(runRecordKey(key))).filter((record) => record !== undefined))
    return new Map(runs.map((run) => [runKeyText(run), run]))
  }

  /** The runs of one server that are remembered, of all schedules. */
  async history(server: string): Promise<Run[]> {
    const records = this.#database.read('SELECT record FROM runs WHERE server = ? ORDER BY run', server)
    return this.#reader.runs(records.filter((record) => recordKind(record) === 'run'))
  }

  /** See `Runs.claim` of the runner. */
  async claim(run: Run, after: Run | undefined): Promise<boolean> {
    return this.#replace(run, after)
  }

  /** See `Runs.advance` of the runner. */
  async advance(before: Run, after: Run): Promise<boolean> {
    return this.#replace(after, before)
  }

  /** @param expected - What stands there now; undefined: nothing. */
  #replace(run: Run, expected: Run | undefined): boolean {
    return this.#database.alone(() => {
      const present = this.#read(runRecordKey(run))
      const asExpected = expected ? present?.['runId'] === expected.runId && present['status'] === expected.status : present === undefined
      if (asExpected) this.#put(runRecordKey(run), runRecord(run))
      return asExpected
    })
  }

  /** See `Runs.serversInFlight` of the runner. */
  async serversInFlight(cloud: string, since: Date): Promise<{ making: string[]; stopped: string[] }> {
    return serversOf(this.#database.read('SELECT record FROM runs WHERE inFlight = ? AND startedAt > ?', cloud, since.toISOString()))
  }

  async inFlight(cloud?: string): Promise<{ runs: Run[]; deletions: Deletion[]; sweeps: Sweep[]; restarts: Restart[] }> {
    const [which, values] = cloud === undefined ? ['IS NOT NULL', []] : ['= ?', [cloud]]
    return this.#reader.inFlight(this.#database.read(`SELECT record FROM runs WHERE inFlight ${which}`, ...values))
  }

  async putDeletion(deletion: Deletion): Promise<void> {
    this.#put(deletionKey(deletion), unfinishedRecord(deletion, deletionKey(deletion)))
  }

  async removeDeletion(deletion: Deletion): Promise<void> {
    this.#remove(deletionKey(deletion))
  }

  async putSweep(sweep: Sweep): Promise<void> {
    this.#put(sweepKey(sweep), unfinishedRecord(sweep, sweepKey(sweep)))
  }

  async removeSweep(sweep: Sweep): Promise<void> {
    this.#remove(sweepKey(sweep))
  }

  async putRestart(restart: Restart): Promise<void> {
    this.#put(restartKey(restart), unfinishedRecord(restart, restartKey(restart)))
  }

  async removeRestart(restart: Restart): Promise<void> {
    this.#remove(restartKey(restart))
  }

  async lastPrune(cloud: string): Promise<LastPrune | undefined> {
    return lastPruneOf(this.#read(pruneKey(cloud)))
  }

  /** Once a day, as prune has it: the time to forget what DynamoDB would. */
  async recordPrune(cloud: string, last: LastPrune): Promise<void> {
    this.#database.write('DELETE FROM runs WHERE expiresAt < ?', Math.floor(last.at.getTime() / 1000))
    this.#put(pruneKey(cloud), pruneRecord(cloud, last))
  }

  #read({ server, run }: RecordKey): Record<string, unknown> | undefined {
    return this.#database.read('SELECT record FROM runs WHERE server = ? AND run = ?', server, run)[0]
  }

  #put({ server, run }: RecordKey, record: Readonly<Record<string, unknown>>): void {
    this.#database.write('INSERT INTO runs (server, run, record) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record', server, run, JSON.stringify(record))
  }

  #remove({ server, run }: RecordKey): void {
    this.#database.write('DELETE FROM runs WHERE server = ? AND run = ?', server, run)
  }
}
