import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb'
import { startAws } from '../../demo/aws/services.ts'
import { createTables } from '../../demo/aws/tables.ts'
import { RunsTable as DynamoRunsTable } from '../../lib/aws/runs-table.ts'
import { SchedulesTable as DynamoSchedulesTable } from '../../lib/aws/schedules-table.ts'
import type { OnUnreadable } from '../../lib/model/record.ts'
import type { RunHistory, Runs, ScheduleItems, Schedules } from '../../lib/runner/ports.ts'
import { Database } from '../../lib/sqlite/database.ts'
import { RunsTable } from '../../lib/sqlite/runs-table.ts'
import { SchedulesTable } from '../../lib/sqlite/schedules-table.ts'

/** Both tables of one kind, empty at first. */
export interface Tables {
  readonly schedules: Schedules & ScheduleItems
  readonly runs: Runs & RunHistory
  /** The runs that could not be read, as they were told of. */
  readonly unreadable: Parameters<OnUnreadable>[]
  /** Writes a record of the runs table as a person might, in a console. */
  putRecord(record: Readonly<Record<string, unknown>>): Promise<void>
  close(): Promise<void>
}

/** Where tables can be kept: one contract for both. */
export const kinds: readonly { readonly kind: string; readonly open: () => Promise<Tables> }[] = [
  { kind: 'DynamoDB', open: openDynamo },
  { kind: 'SQLite', open: openSqlite },
]

async function openDynamo(): Promise<Tables> {
  const aws = await startAws()
  Object.assign(process.env, aws.env)
  const client = new DynamoDBClient({})
  await createTables(client, { schedules: 'schedules', runs: 'runs' })
  const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } })
  const unreadable: Tables['unreadable'] = []
  return {
    schedules: new DynamoSchedulesTable('schedules', documents),
    runs: new DynamoRunsTable('runs', documents, randomUUID, (...told) => unreadable.push(told)),
    unreadable,
    putRecord: async (record) => {
      await documents.send(new PutCommand({ TableName: 'runs', Item: record }))
    },
    close: async () => {
      client.destroy()
      await aws.close()
    },
  }
}

async function openSqlite(): Promise<Tables> {
  const directory = mkdtempSync(join(tmpdir(), 'tables-'))
  const database = new Database(join(directory, 'scheduled-images.sqlite'))
  const unreadable: Tables['unreadable'] = []
  return {
    schedules: new SchedulesTable(database),
    runs: new RunsTable(database, (...told) => unreadable.push(told)),
    unreadable,
    putRecord: async (record) => {
      database.write('INSERT INTO runs (server, run, record) VALUES (?, ?, ?)', String(record['server']), String(record['run']), JSON.stringify(record))
    },
    close: async () => {
      database.close()
      rmSync(directory, { recursive: true })
    },
  }
}
