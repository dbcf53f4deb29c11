import { paginateQuery, UpdateCommand, type DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { parseSchedule, type Cadence, type ParsedSchedule, type ScheduleState } from '../model/schedule.ts'

/** The schedules table: partition key `cadence`, sort key `schedule`. What a user edits; we write `state` alone. */
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
   *
   * @param before - The state as it was read: DynamoDB can only set a field of a map that exists.
   */
  async writeState(key: { cadence: string; name: string }, before: ScheduleState, change: Readonly<Record<string, unknown>>): Promise<void> {
    try {
      if (Object.keys(before).length > 0) await this.#update(key, fieldsExpression(change))
      else await this.#update(key, mapExpression(change))
    } catch (error) {
      if (nameOf(error) === 'ConditionalCheckFailedException') return
      if (nameOf(error) !== 'ValidationException') throw error
      // The map that was read is no longer one: somebody removed it, or put something else there.
      await this.#update(key, mapExpression({ ...before, ...change })).catch((again: unknown) => {
        if (nameOf(again) !== 'ConditionalCheckFailedException') throw again
      })
    }
  }

  async #update(key: { cadence: string; name: string }, { expression, names, values }: StateExpression): Promise<void> {
    await this.#client.send(
      new UpdateCommand({
        TableName: this.#table,
        Key: { cadence: key.cadence, schedule: key.name },
        UpdateExpression: expression,
        ConditionExpression: 'attribute_exists(#schedule)',
        ExpressionAttributeNames: { '#schedule': 'schedule', '#state': 'state', ...names },
        ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
      }),
    )
  }
}

interface StateExpression {
  readonly expression: string
  readonly names: Readonly<Record<string, string>>
  readonly values: Readonly<Record<string, unknown>>
}

function fieldsExpression(change: Readonly<Record<string, unknown>>): StateExpression {
  const fields = Object.entries(change)
  const set = fields.filter(([, value]) => value !== undefined)
  const removed = fields.filter(([, value]) => value === undefined)
  const clauses = [
    ...(set.length > 0 ? [`SET ${set.map(([field]) => `#state.#${field} = :${field}`).join(', ')}`] : []),
    ...(removed.length > 0 ? [`REMOVE ${removed.map(([field]) => `#state.#${field}`).join(', ')}`] : []),
  ]
  return {
    expression: clauses.join(' '),
    names: Object.fromEntries(fields.map(([field]) => [`#${field}`, field])),
    values: Object.fromEntries(set.map(([field, value]) => [`:${field}`, value])),
  }
}

function mapExpression(change: Readonly<Record<string, unknown>>): StateExpression {
  const state = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
  return { expression: 'SET #state = :state', names: {}, values: { ':state': state } }
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined
}
