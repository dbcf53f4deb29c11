import { deletionSchema, restartSchema, runSchema, sweepSchema, type Deletion, type Restart, type Run, type RunKey, type Sweep } from './run.ts'

/**
 * How the runs table is written, wherever it is kept. It holds five kinds of records:
 *
 * | server | run | what |
 * | --- | --- | --- |
 * | UUID | `<period>#<cadence>/<schedule>` | a run |
 * | UUID | `deletion#<image>` | a deletion that is not finished |
 * | UUID | `sweep#<run id>` | a failed attempt, to be cleaned up after |
 * | UUID | `restart#<run id>` | a server that was stopped for its image, and is to be started again |
 * | `cloud#<name>` | `prune` | when that cloud was last pruned, and in which project |
 */
export interface RecordKey {
  readonly server: string
  readonly run: string
}

export type RecordKind = 'run' | 'deletion' | 'sweep' | 'restart'

/** A run is remembered for this long after its period is over; until then it must not be forgotten. */
const rememberedMs = 35 * 24 * 3_600_000

export function runRecordKey({ server, schedule, period }: RunKey): RecordKey {
  return { server, run: `${period}#${schedule}` }
}

export function deletionKey({ server, image }: Deletion): RecordKey {
  return { server, run: `deletion#${image}` }
}

export function sweepKey({ server, runId }: Sweep): RecordKey {
  return { server, run: `sweep#${runId}` }
}

export function restartKey({ server, runId }: Restart): RecordKey {
  return { server, run: `restart#${runId}` }
}

export function pruneKey(cloud: string): RecordKey {
  return { server: `cloud#${cloud}`, run: 'prune' }
}

export function recordKind({ run }: Readonly<Record<string, unknown>>): RecordKind {
  return (/^(deletion|sweep|restart)#/.exec(String(run))?.[1] ?? 'run') as RecordKind
}

/** `inFlight` keeps a record in the index of what is in flight, and `expiresAt` (seconds) lets the table forget it: never both. */
export function runRecord(run: Run): Record<string, unknown> {
  const instants = Object.fromEntries(Object.entries(run).filter((entry) => entry[1] instanceof Date).map(([name, value]) => [name, (value as Date).toISOString()]))
  const inFlight = run.status === 'starting' || run.status === 'saving'
  return {
    ...run,
    ...instants,
    ...runRecordKey(run),
    ...(inFlight ? { inFlight: run.cloud } : { expiresAt: Math.floor((run.until.getTime() + rememberedMs) / 1000) }),
  }
}

/** A deletion, a sweep or a restart: in the index until it is removed. */
export function unfinishedRecord(record: Deletion | Sweep | Restart, key: RecordKey): Record<string, unknown> {
  return { ...record, ...key, inFlight: record.cloud, startedAt: record.startedAt.toISOString() }
}

/** Called for a record that cannot be read, which is then left out. */
export type OnUnreadable = (message: string, fields: Record<string, unknown>) => void

/** Reads records of the runs table, of which people may have edited any. */
export class RecordReader {
  readonly #onUnreadable: OnUnreadable

  constructor(onUnreadable: OnUnreadable) {
    this.#onUnreadable = onUnreadable
  }

  runs(items: readonly Record<string, unknown>[]): Run[] {
    return this.#read(items, runSchema)
  }

  /** What is in flight, by kinds. */
  inFlight(items: readonly Record<string, unknown>[]): { runs: Run[]; deletions: Deletion[]; sweeps: Sweep[]; restarts: Restart[] } {
    const kinds = Map.groupBy(items, recordKind)
    return {
      runs: this.#read(kinds.get('run') ?? [], runSchema),
      deletions: this.#read(kinds.get('deletion') ?? [], deletionSchema),
      sweeps: this.#read(kinds.get('sweep') ?? [], sweepSchema),
      restarts: this.#read(kinds.get('restart') ?? [], restartSchema),
    }
  }

  #read<Output>(items: readonly Record<string, unknown>[], schema: { safeParse(value: unknown): { success: true; data: Output } | { success: false; error: Error } }): Output[] {
    const read: Output[] = []
    for (const item of items) {
      const parsed = schema.safeParse(item)
      if (parsed.success) read.push(parsed.data)
      else this.#onUnreadable('a record of the runs table cannot be read, and is left alone; delete it', { server: item['server'], run: item['run'], error: parsed.error })
    }
    return read
  }
}

/** The servers that the index shows at work; those that a person was told of do not count. */
export function serversOf(items: readonly Record<string, unknown>[]): { making: string[]; stopped: string[] } {
  const of = (kind: RecordKind) => items.filter((item) => recordKind(item) === kind && item['told'] === undefined).map(({ server }) => String(server))
  return { making: of('run'), stopped: of('restart') }
}

/** When a cloud was last pruned. */
export interface LastPrune {
  readonly at: Date
  /** The id of the project that it was entered with; undefined until it was. */
  readonly project: string | undefined
}

export function pruneRecord(cloud: string, { at, project }: LastPrune): Record<string, unknown> {
  return { ...pruneKey(cloud), prunedAt: at.toISOString(), ...(project !== undefined && { project }) }
}

export function lastPruneOf(record: Readonly<Record<string, unknown>> | undefined): LastPrune | undefined {
  const at = Date.parse(String(record?.['prunedAt']))
  const project = record?.['project']
  return Number.isNaN(at) ? undefined : { at: new Date(at), project: typeof project === 'string' ? project : undefined }
}
