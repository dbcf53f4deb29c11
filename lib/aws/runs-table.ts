import { setTimeout } from 'node:timers/promises'
import {
  BatchGetCommand, DeleteCommand, GetCommand, paginateQuery, paginateScan, PutCommand, type DynamoDBDocumentClient,
} from '@aws-sdk/lib-dynamodb'
import {
  deletionSchema, restartSchema, runKeyText, runSchema, sweepSchema, type Deletion, type Restart, type Run, type RunKey, type Sweep,
} from '../model/run.ts'

/** What BatchGetItem takes at once. */
const keysPerBatch = 100
/** How often keys that a throttled table left out are asked for again. */
const mostBatchAttempts = 6
/** A run is remembered for this long after its period is over; until then it must not be forgotten. */
const rememberedMs = 35 * 24 * 3_600_000

const index = 'in-flight'

/** Called for a record that cannot be read, which is then left out. */
export type OnUnreadable = (message: string, fields: Record<string, unknown>) => void

/**
 * The runs table: partition key `server`, sort key `run`. It holds five kinds of records:
 *
 * | server | run | what |
 * | --- | --- | --- |
 * | UUID | `<period>#<cadence>/<schedule>` | a run |
 * | UUID | `deletion#<image>` | a deletion that is not finished |
 * | UUID | `sweep#<run id>` | a failed attempt, to be cleaned up after |
 * | UUID | `restart#<run id>` | a server that was stopped for its image, and is to be started again |
 * | `cloud#<name>` | `prune` | when that cloud was last pruned |
 *
 * Its sparse index `in-flight` (partition `inFlight`, the cloud; sort `startedAt`) holds the runs in flight, the
 * deletions, the sweeps and the restarts, and nothing else.
 */
export class RunsTable {
  readonly #table: string
  readonly #client: DynamoDBDocumentClient
  readonly #newId: () => string
  readonly #onUnreadable: OnUnreadable

  /** @param newId - Makes a unique id for each write, by which it is known again. */
  constructor(table: string, client: DynamoDBDocumentClient, newId: () => string, onUnreadable: OnUnreadable) {
    this.#table = table
    this.#client = client
    this.#newId = newId
    this.#onUnreadable = onUnreadable
  }

  /** Reads runs by their keys, a hundred a call. */
  async get(keys: readonly RunKey[]): Promise<Map<string, Run>> {
    const unique = [...new Map(keys.map((key) => [runKeyText(key), keyOf(key)])).values()]
    const batches = Array.from({ length: Math.ceil(unique.length / keysPerBatch) }, (_, i) => unique.slice(i * keysPerBatch, (i + 1) * keysPerBatch))
    const runs = await Promise.all(batches.map((batch) => this.#batch(batch)))
    return new Map(runs.flat().map((run) => [runKeyText(run), run]))
  }

  async #batch(keys: Key[]): Promise<Run[]> {
    const runs: Run[] = []
    let left: Record<string, unknown>[] = keys.map((key) => ({ ...key }))
    for (let attempt = 1; left.length > 0; attempt += 1) {
      if (attempt > mostBatchAttempts) throw new Error(`The runs table is throttled: ${left.length} of ${keys.length} runs could not be read.`)
      if (attempt > 1) await setTimeout(50 * 2 ** attempt)
      const answer = await this.#client.send(new BatchGetCommand({ RequestItems: { [this.#table]: { Keys: left, ConsistentRead: true } } }))
      runs.push(...this.#read(answer.Responses?.[this.#table] ?? [], runSchema))
      left = answer.UnprocessedKeys?.[this.#table]?.Keys ?? []
    }
    return runs
  }

  /** See `Runs.claim` of the runner. */
  async claim(run: Run, after: Run | undefined): Promise<boolean> {
    if (after) return this.#replace(run, after)
    return this.#put(run, 'attribute_not_exists(#run)', { '#run': 'run' }, {})
  }

  /** See `Runs.advance` of the runner. */
  async advance(before: Run, after: Run): Promise<boolean> {
    return this.#replace(after, before)
  }

  async #replace(run: Run, expected: Run): Promise<boolean> {
    return this.#put(run, '#runId = :runId AND #status = :status', { '#runId': 'runId', '#status': 'status' }, { ':runId': expected.runId, ':status': expected.status })
  }

  async #put(run: Run, condition: string, names: Record<string, string>, values: Record<string, unknown>): Promise<boolean> {
    const writeId = this.#newId()
    try {
      await this.#client.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...recordOf(run), writeId },
          ConditionExpression: condition,
          ExpressionAttributeNames: names,
          ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
        }),
      )
      return true
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ConditionalCheckFailedException') throw error
      // The SDK tries again after an answer that was lost: then the write that was in our way is our own.
      const { Item } = await this.#client.send(new GetCommand({ TableName: this.#table, Key: keyOf(run), ConsistentRead: true }))
      return Item?.['writeId'] === writeId
    }
  }

  /** See `Runs.serversInFlight` of the runner; as far as the index knows by now. */
  async serversInFlight(cloud: string, since: Date): Promise<{ making: string[]; stopped: string[] }> {
    const items: Record<string, unknown>[] = []
    const pages = paginateQuery(
      { client: this.#client },
      {
        TableName: this.#table,
        IndexName: index,
        KeyConditionExpression: '#inFlight = :cloud AND #startedAt > :since',
        ProjectionExpression: '#server, #run, #told',
        ExpressionAttributeNames: { '#inFlight': 'inFlight', '#startedAt': 'startedAt', '#server': 'server', '#run': 'run', '#told': 'told' },
        ExpressionAttributeValues: { ':cloud': cloud, ':since': since.toISOString() },
      },
    )
    for await (const page of pages) items.push(...(page.Items ?? []))
    const of = (kind: Kind) => items.filter((item) => kindOf(item) === kind && item['told'] === undefined).map(({ server }) => String(server))
    return { making: of('run'), stopped: of('restart') }
  }

  /**
   * Reads all that is in flight. The index is sparse, so scanning it reads just that: one call, where a Query for each
   * cloud would be many, and would miss a cloud whose last schedule was deleted.
   *
   * @param cloud - Only what is in flight there: a Query.
   */
  async inFlight(cloud?: string): Promise<{ runs: Run[]; deletions: Deletion[]; sweeps: Sweep[]; restarts: Restart[] }> {
    const items: Record<string, unknown>[] = []
    const source = { TableName: this.#table, IndexName: index }
    const ofCloud = { KeyConditionExpression: '#inFlight = :cloud', ExpressionAttributeNames: { '#inFlight': 'inFlight' }, ExpressionAttributeValues: { ':cloud': cloud } }
    const pages = cloud === undefined ? paginateScan({ client: this.#client }, source) : paginateQuery({ client: this.#client }, { ...source, ...ofCloud })
    for await (const page of pages) items.push(...(page.Items ?? []))
    const kinds = Map.groupBy(items, kindOf)
    return {
      runs: this.#read(kinds.get('run') ?? [], runSchema),
      deletions: this.#read(kinds.get('deletion') ?? [], deletionSchema),
      sweeps: this.#read(kinds.get('sweep') ?? [], sweepSchema),
      restarts: this.#read(kinds.get('restart') ?? [], restartSchema),
    }
  }

  putDeletion(deletion: Deletion): Promise<void> {
    return this.#putUnfinished(deletion, deletionKey(deletion))
  }

  removeDeletion(deletion: Deletion): Promise<void> {
    return this.#remove(deletionKey(deletion))
  }

  putSweep(sweep: Sweep): Promise<void> {
    return this.#putUnfinished(sweep, sweepKey(sweep))
  }

  removeSweep(sweep: Sweep): Promise<void> {
    return this.#remove(sweepKey(sweep))
  }

  putRestart(restart: Restart): Promise<void> {
    return this.#putUnfinished(restart, restartKey(restart))
  }

  removeRestart(restart: Restart): Promise<void> {
    return this.#remove(restartKey(restart))
  }

  async #putUnfinished(record: Deletion | Sweep | Restart, key: Key): Promise<void> {
    const item = { ...record, ...key, inFlight: record.cloud, startedAt: record.startedAt.toISOString() }
    await this.#client.send(new PutCommand({ TableName: this.#table, Item: item }))
  }

  async #remove(key: Key): Promise<void> {
    await this.#client.send(new DeleteCommand({ TableName: this.#table, Key: key }))
  }

  async lastPrune(cloud: string): Promise<Date | undefined> {
    const { Item } = await this.#client.send(new GetCommand({ TableName: this.#table, Key: cloudKey(cloud) }))
    const at = Date.parse(String(Item?.['prunedAt']))
    return Number.isNaN(at) ? undefined : new Date(at)
  }

  async recordPrune(cloud: string, at: Date): Promise<void> {
    await this.#client.send(new PutCommand({ TableName: this.#table, Item: { ...cloudKey(cloud), prunedAt: at.toISOString() } }))
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

type Kind = 'run' | 'deletion' | 'sweep' | 'restart'

function kindOf({ run }: Record<string, unknown>): Kind {
  return (/^(deletion|sweep|restart)#/.exec(String(run))?.[1] ?? 'run') as Kind
}

interface Key {
  readonly server: string
  readonly run: string
}

function keyOf({ server, schedule, period }: RunKey): Key {
  return { server, run: `${period}#${schedule}` }
}

function deletionKey({ server, image }: Deletion): Key {
  return { server, run: `deletion#${image}` }
}

function sweepKey({ server, runId }: Sweep): Key {
  return { server, run: `sweep#${runId}` }
}

function restartKey({ server, runId }: Restart): Key {
  return { server, run: `restart#${runId}` }
}

function cloudKey(cloud: string): Key {
  return { server: `cloud#${cloud}`, run: 'prune' }
}

/** `inFlight` keeps a record in the sparse index, and `expiresAt` (seconds) lets DynamoDB forget it: never both. */
function recordOf(run: Run): Record<string, unknown> {
  const instants = Object.fromEntries(Object.entries(run).filter((entry) => entry[1] instanceof Date).map(([name, value]) => [name, (value as Date).toISOString()]))
  const inFlight = run.status === 'starting' || run.status === 'saving'
  return {
    ...run,
    ...instants,
    ...keyOf(run),
    ...(inFlight ? { inFlight: run.cloud } : { expiresAt: Math.floor((run.until.getTime() + rememberedMs) / 1000) }),
  }
}
