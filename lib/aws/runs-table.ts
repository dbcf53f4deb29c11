import { setTimeout } from 'node:timers/promises'
import {
  BatchGetCommand, DeleteCommand, GetCommand, paginateQuery, paginateScan, PutCommand, type DynamoDBDocumentClient,
} from '@aws-sdk/lib-dynamodb'
import {
  deletionKey, lastPruneOf, pruneKey, pruneRecord, recordKind, RecordReader, restartKey, runRecord, runRecordKey, serversOf, sweepKey, unfinishedRecord, type LastPrune, type OnUnreadable, type RecordKey,
} from '../model/record.ts'
import { runKeyText, type Deletion, type Restart, type Run, type RunKey, type Sweep } from '../model/run.ts'

/** What BatchGetItem takes at once. */
const keysPerBatch = 100
/** How often keys that a throttled table left out are asked for again. */
const mostBatchAttempts = 6

const index = 'in-flight'

/**
 * The runs table on DynamoDB: partition key `server`, sort key `run`; its records are those of `lib/model/record.ts`.
 *
 * Its sparse index `in-flight` (partition `inFlight`, the cloud; sort `startedAt`) holds the runs in flight, the
 * deletions, the sweeps and the restarts, and nothing else.
 */
export class RunsTable {
  readonly #table: string
  readonly #client: DynamoDBDocumentClient
  readonly #newId: () => string
  readonly #reader: RecordReader

  /** @param newId - Makes a unique id for each write, by which it is known again. */
  constructor(table: string, client: DynamoDBDocumentClient, newId: () => string, onUnreadable: OnUnreadable) {
    this.#table = table
    this.#client = client
    this.#newId = newId
    this.#reader = new RecordReader(onUnreadable)
  }

  /** Reads runs by their keys, a hundred a call. */
  async get(keys: readonly RunKey[]): Promise<Map<string, Run>> {
    const unique = [...new Map(keys.map((key) => [runKeyText(key), runRecordKey(key)])).values()]
    const batches = Array.from({ length: Math.ceil(unique.length / keysPerBatch) }, (_, i) => unique.slice(i * keysPerBatch, (i + 1) * keysPerBatch))
    const runs = await Promise.all(batches.map((batch) => this.#batch(batch)))
    return new Map(runs.flat().map((run) => [runKeyText(run), run]))
  }

  async #batch(keys: RecordKey[]): Promise<Run[]> {
    const runs: Run[] = []
    let left: Record<string, unknown>[] = keys.map((key) => ({ ...key }))
    for (let attempt = 1; left.length > 0; attempt += 1) {
      if (attempt > mostBatchAttempts) throw new Error(`The runs table is throttled: ${left.length} of ${keys.length} runs could not be read.`)
      if (attempt > 1) await setTimeout(50 * 2 ** attempt)
      const answer = await this.#client.send(new BatchGetCommand({ RequestItems: { [this.#table]: { Keys: left, ConsistentRead: true } } }))
      runs.push(...this.#reader.runs(answer.Responses?.[this.#table] ?? []))
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
          Item: { ...runRecord(run), writeId },
          ConditionExpression: condition,
          ExpressionAttributeNames: names,
          ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
        }),
      )
      return true
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ConditionalCheckFailedException') throw error
      // The SDK tries again after an answer that was lost: then the write that was in our way is our own.
      const { Item } = await this.#client.send(new GetCommand({ TableName: this.#table, Key: runRecordKey(run), ConsistentRead: true }))
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
    return serversOf(items)
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
    return this.#reader.inFlight(items)
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

  async #putUnfinished(record: Deletion | Sweep | Restart, key: RecordKey): Promise<void> {
    await this.#client.send(new PutCommand({ TableName: this.#table, Item: unfinishedRecord(record, key) }))
  }

  async #remove(key: RecordKey): Promise<void> {
    await this.#client.send(new DeleteCommand({ TableName: this.#table, Key: key }))
  }

  async lastPrune(cloud: string): Promise<LastPrune | undefined> {
    const { Item } = await this.#client.send(new GetCommand({ TableName: this.#table, Key: pruneKey(cloud) }))
    return lastPruneOf(Item)
  }

  async recordPrune(cloud: string, last: LastPrune): Promise<void> {
    await this.#client.send(new PutCommand({ TableName: this.#table, Item: pruneRecord(cloud, last) }))
  }

  /** The runs of one server that are remembered, of all schedules. */
  async history(server: string): Promise<Run[]> {
    const items: Record<string, unknown>[] = []
    const pages = paginateQuery(
      { client: this.#client },
      { TableName: this.#table, KeyConditionExpression: '#server = :server', ExpressionAttributeNames: { '#server': 'server' }, ExpressionAttributeValues: { ':server': server } },
    )
    for await (const page of pages) items.push(...(page.Items ?? []))
    return this.#reader.runs(items.filter((item) => recordKind(item) === 'run'))
  }
}
