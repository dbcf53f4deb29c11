import { DeleteCommand, GetCommand, paginateQuery, PutCommand, UpdateCommand, type DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { parseSchedule, type Cadence, type ParsedSchedule, type ScheduleItem, type ScheduleKey } from '../model/schedule.ts'

/** The schedules table: partition key `cadence`, sort key `schedule`. What a user edits; the functions write `state` alone. */
export class SchedulesTable {
  readonly #table: string
  readonly #client: DynamoDBDocumentClient

  constructor(table: string, client: DynamoDBDocumentClient) {
    this.#table = table
    this.#client = client
  }

  /** Reads every item of one cadence: one Query, and no Scan. */
  async query(cadence: Cadence): Promise<ParsedSchedule[]> {
    const parsed: ParsedSchedule[] = []
    const pages = paginateQuery(
      { client: this.#client },
      {
        TableName: this.#table,
        KeyConditionExpression: '#cadence = :cadence',
        ExpressionAttributeNames: { '#cadence': 'cadence' },
        ExpressionAttributeValues: { ':cadence': cadence },
      },
    )
    for await (const page of pages) parsed.push(...(page.Items ?? []).map(parseSchedule))
    return parsed
  }

  /**
   * Sets the given fields of `state`, and removes those that are undefined. Touches nothing else, so a person can edit
   * the item at the same moment; creates nothing, so an item that was just deleted stays deleted.
   */
  async writeState(key: { cadence: string; name: string }, change: Readonly<Record<string, unknown>>): Promise<void> {
    // DynamoDB sets a field only of a map that exists: the first write of an item has to make it.
    if (await this.#update(key, updateExpression(change, '#state.'), 'attribute_type(#state, :map)')) return
    await this.#update(key, mapExpression(change), 'NOT attribute_type(#state, :map)')
  }

  /** The item as it is. */
  async get({ cadence, name }: ScheduleKey): Promise<ScheduleItem | undefined> {
    const { Item } = await this.#client.send(new GetCommand({ TableName: this.#table, Key: { cadence, schedule: name }, ConsistentRead: true }))
    return Item
  }

  /** Writes an item where there is none. @returns false when there is one. */
  async create(item: ScheduleItem): Promise<boolean> {
    const condition = { ConditionExpression: 'attribute_not_exists(#schedule)', ExpressionAttributeNames: { '#schedule': 'schedule' } }
    return fulfilled(this.#client.send(new PutCommand({ TableName: this.#table, Item: { ...item }, ...condition })))
  }

  /**
   * Sets the given attributes of an item, and removes those that are undefined. Touches no other.
   *
   * @returns false when the item is gone.
   */
  async edit({ cadence, name }: ScheduleKey, attributes: ScheduleItem): Promise<boolean> {
    const { expression, names, values } = updateExpression(attributes, '')
    return fulfilled(this.#client.send(
      new UpdateCommand({
        TableName: this.#table,
        Key: { cadence, schedule: name },
        UpdateExpression: expression,
        ConditionExpression: 'attribute_exists(#schedule)',
        ExpressionAttributeNames: { '#schedule': 'schedule', ...names },
        ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
      }),
    ))
  }

  /** @returns false when it was gone already. */
  async remove({ cadence, name }: ScheduleKey): Promise<boolean> {
    const { Attributes } = await this.#client.send(new DeleteCommand({ TableName: this.#table, Key: { cadence, schedule: name }, ReturnValues: 'ALL_OLD' }))
    return Attributes !== undefined
  }

  /** @returns false when the item is gone, or `state` is not what the condition says. */
  async #update(key: { cadence: string; name: string }, { expression, names, values }: UpdateExpression, condition: string): Promise<boolean> {
    return fulfilled(this.#client.send(
      new UpdateCommand({
        TableName: this.#table,
        Key: { cadence: key.cadence, schedule: key.name },
        UpdateExpression: expression,
        ConditionExpression: `attribute_exists(#schedule) AND ${condition}`,
        ExpressionAttributeNames: { '#schedule': 'schedule', '#state': 'state', ...names },
        ExpressionAttributeValues: { ...values, ':map': 'M' },
      }),
    ))
  }
}

/** @returns false when the write's condition did not hold. */
async function fulfilled(write: Promise<unknown>): Promise<boolean> {
  try {
    await write
    return true
  } catch (error) {
    if (error instanceof Error && error.name === 'ConditionalCheckFailedException') return false
    throw error
  }
}

interface UpdateExpression {
  readonly expression: string
  readonly names: Readonly<Record<string, string>>
  readonly values: Readonly<Record<string, unknown>>
}

/** @param path - What the fields are in: `#state.`, or nothing. */
function updateExpression(change: Readonly<Record<string, unknown>>, path: string): UpdateExpression {
  const fields = Object.entries(change)
  const set = fields.filter(([, value]) => value !== undefined)
  const removed = fields.filter(([, value]) => value === undefined)
  const clauses = [
    ...(set.length > 0 ? [`SET ${set.map(([field]) => `${path}#${field} = :${field}`).join(', ')}`] : []),
    ...(removed.length > 0 ? [`REMOVE ${removed.map(([field]) => `${path}#${field}`).join(', ')}`] : []),
  ]
  return {
    expression: clauses.join(' '),
    names: Object.fromEntries(fields.map(([field]) => [`#${field}`, field])),
    values: Object.fromEntries(set.map(([field, value]) => [`:${field}`, value])),
  }
}

function mapExpression(change: Readonly<Record<string, unknown>>): UpdateExpression {
  const state = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
  return { expression: 'SET #state = :state', names: {}, values: { ':state': state } }
}
