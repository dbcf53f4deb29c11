import { readFile } from 'node:fs/promises'
import { CreateTableCommand, waitUntilTableExists, type CreateTableCommandInput, type DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { parse } from 'yaml'

type Template = { resources: { Resources: Record<string, { Properties: Record<string, unknown> }> } }

/** What CloudFormation knows of a table and CreateTable does not. */
const afterwards = new Set(['PointInTimeRecoverySpecification', 'TimeToLiveSpecification', 'TableName'])

/** Creates the tables of serverless.yml, so that what runs here has the keys and indexes of what is deployed. */
export async function createTables(client: DynamoDBClient, names: { schedules: string; runs: string }): Promise<void> {
  const text = await readFile(new URL('../../serverless.yml', import.meta.url), 'utf8')
  const cloudFormationTag = { tag: '!Ref', resolve: (value: string) => value }
  const customTags = [cloudFormationTag, { ...cloudFormationTag, tag: '!Sub' }, { ...cloudFormationTag, tag: '!GetAtt' }]
  const { resources } = parse(text, { customTags, merge: true }) as Template
  const wanted = { SchedulesTable: names.schedules, RunsTable: names.runs }
  await Promise.all(
    Object.entries(wanted).map(async ([resource, TableName]) => {
      const properties = Object.entries(resources.Resources[resource]!.Properties).filter(([name]) => !afterwards.has(name))
      await client.send(new CreateTableCommand({ ...Object.fromEntries(properties), TableName } as CreateTableCommandInput))
      await waitUntilTableExists({ client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.2 }, { TableName })
    }),
  )
}
