import { readFile } from 'node:fs/promises'
import { CreateTableCommand, waitUntilTableExists, type CreateTableCommandInput, type DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { parse } from 'yaml'

type Template = { Resources: Record<string, { Properties: Record<string, unknown> }> }

/** What CloudFormation does with a table when it is there, or the local DynamoDB does not know. */
const leftOut = new Set(['TableName', 'PointInTimeRecoverySpecification', 'TimeToLiveSpecification', 'DeletionProtectionEnabled'])

/** Creates the tables of iac/tables.yml, so that what runs here has the keys and indexes of what is deployed. */
export async function createTables(client: DynamoDBClient, names: { schedules: string; runs: string }): Promise<void> {
  const text = await readFile(new URL('../../iac/tables.yml', import.meta.url), 'utf8')
  // What CloudFormation's own tags say is about the stack and not about the tables.
  const { Resources } = parse(text, { logLevel: 'error' }) as Template
  const wanted = { SchedulesTable: names.schedules, RunsTable: names.runs }
  await Promise.all(
    Object.entries(wanted).map(async ([resource, TableName]) => {
      const properties = Object.entries(Resources[resource]!.Properties).filter(([name]) => !leftOut.has(name))
      await client.send(new CreateTableCommand({ ...Object.fromEntries(properties), TableName } as CreateTableCommandInput))
      await waitUntilTableExists({ client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.2 }, { TableName })
    }),
  )
}
