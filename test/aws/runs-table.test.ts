import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startAws, type LocalAws } from '../../demo/aws/services.ts'
import { createTables } from '../../demo/aws/tables.ts'
import { RunsTable } from '../../lib/aws/runs-table.ts'
import { run } from '../support/builders.ts'

/** What DynamoDB alone does; the rest is in test/tables. */
let aws: LocalAws
let documents: DynamoDBDocumentClient
let table: RunsTable

beforeAll(async () => {
  aws = await startAws()
  Object.assign(process.env, aws.env)
  const client = new DynamoDBClient({})
  documents = DynamoDBDocumentClient.from(client)
  await createTables(client, { schedules: 'schedules', runs: 'runs' })
  table = new RunsTable('runs', documents, randomUUID, () => {})
})
afterAll(() => aws.close())

test('a claim whose answer was lost on the way is known as our own when the SDK repeats it', async () => {
  const claimed = run({ status: 'starting' })
  const send = documents.send.bind(documents)
  let lost = false
  // The write is done, and the SDK sends it again, as it does after a connection that broke.
  documents.send = (async (command: never) => {
    if (!lost && (command as object) instanceof PutCommand) {
      lost = true
      await send(command)
    }
    return send(command)
  }) as typeof documents.send
  try {
    expect(await table.claim(claimed, undefined)).toBe(true)
  } finally {
    documents.send = send
  }
  expect(lost).toBe(true)
})
