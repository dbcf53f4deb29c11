import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, PutCommand, ScanCommand } from '@aws-sdk/lib-dynamodb'
import { createTables } from '../../demo/aws/tables.ts'
import type { Json } from '../contract/harness.ts'

/** Our two tables as they are: read without the code that is tested. */
export class Ledger {
  readonly names = { schedules: 'schedules', runs: 'runs' } as const
  readonly #client: DynamoDBDocumentClient

  private constructor(client: DynamoDBDocumentClient) {
    this.#client = client
  }

  /** Makes the tables, in the DynamoDB that the environment names. */
  static async create(): Promise<Ledger> {
    const client = new DynamoDBClient({})
    const ledger = new Ledger(DynamoDBDocumentClient.from(client))
    await createTables(client, ledger.names)
    return ledger
  }

  async putSchedule(item: object): Promise<void> {
    await this.#client.send(new PutCommand({ TableName: this.names.schedules, Item: item }))
  }

  async schedules(): Promise<Json[]> {
    return this.#scan(this.names.schedules)
  }

  /** Runs, and whatever else is remembered. */
  async records(): Promise<Json[]> {
    return this.#scan(this.names.runs)
  }

  async #scan(table: string): Promise<Json[]> {
    const items: Json[] = []
    let from: Json | undefined
    do {
      const page = await this.#client.send(new ScanCommand({ TableName: table, ConsistentRead: true, ExclusiveStartKey: from }))
      items.push(...(page.Items ?? []))
      from = page.LastEvaluatedKey
    } while (from !== undefined)
    return items
  }
}
