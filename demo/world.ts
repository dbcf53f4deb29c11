import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DeleteCommand, DynamoDBDocumentClient, GetCommand, paginateScan, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb'
import { startAws, type LocalAws } from './aws/services.ts'
import { createTables } from './aws/tables.ts'
import { startOpenStack, type OpenStackSimulator, type OpenStackSimulatorOptions, type Project } from './openstack/simulator.ts'

/** Everything that the functions talk to, on loopback and in one process, with one clock. */
export interface World {
  readonly openstack: OpenStackSimulator
  readonly aws: LocalAws
  /** The project of the cloud `default`. */
  readonly project: Project
  /** The time of the clouds, and of the functions if they are given it. */
  readonly clock: () => Date
  setClock(to: Date | string): void
  /** The environment of the functions. */
  readonly env: Readonly<Record<string, string>>
  /** Every secret and token in this world by now: none of them may turn up in a log, an event or a table. */
  secrets(): string[]
  putSchedule(item: Readonly<Record<string, unknown>>): Promise<void>
  /** Changes some attributes of an item as a person would, without touching `state`. */
  editSchedule(cadence: string, schedule: string, attributes: Readonly<Record<string, unknown>>): Promise<void>
  deleteSchedule(cadence: string, schedule: string): Promise<void>
  getSchedule(cadence: string, schedule: string): Promise<Record<string, unknown> | undefined>
  /** Everything in the schedules table. */
  schedules(): Promise<Record<string, unknown>[]>
  /** Everything in the runs table. */
  runs(): Promise<Record<string, unknown>[]>
  /** Puts the runs table back to what it once was, as a restored backup does. */
  restoreRuns(records: readonly Record<string, unknown>[]): Promise<void>
  close(): Promise<void>
}

type Quotas = Parameters<OpenStackSimulator['addProject']>[1]

const cloudsPath = '/scheduled-images/local/clouds/'

/**
 * Builds a world with one cloud, `default`, that is entered with an application credential.
 *
 * It sets the SDK's variables of this process (`AWS_ENDPOINT_URL_DYNAMODB` and so on), so one world is used at a time.
 */
export async function startWorld(options: { now: Date | string; quotas?: Quotas } & Omit<OpenStackSimulatorOptions, 'clock'>): Promise<World> {
  let now = new Date(options.now)
  const clock = () => now
  const [openstack, aws] = await Promise.all([startOpenStack({ ...options, clock }), startAws(clock)])
  const project = openstack.addProject('alpha', options.quotas)
  const user = openstack.addUser('alice', 'alice-password', { alpha: 'member' })
  const credential = openstack.addApplicationCredential(user, project, { secret: 'alpha-secret' })
  aws.parameters.set(`${cloudsPath}default`, JSON.stringify({
    auth_type: 'v3applicationcredential',
    auth: { auth_url: openstack.authUrl, application_credential_id: credential.id, application_credential_secret: credential.secret },
    region_name: 'RegionOne',
  }))

  const env = { ...aws.env, SCHEDULES_TABLE: 'schedules', RUNS_TABLE: 'runs', CLOUDS_PATH: cloudsPath, EVENT_BUS: 'bus' }
  Object.assign(process.env, aws.env)
  const client = new DynamoDBClient({})
  await createTables(client, { schedules: 'schedules', runs: 'runs' })
  const dynamodb = DynamoDBDocumentClient.from(client)

  const everything = async (table: string) => {
    const items: Record<string, unknown>[] = []
    for await (const page of paginateScan({ client: dynamodb }, { TableName: table })) items.push(...(page.Items ?? []))
    return items
  }
  return {
    openstack,
    aws,
    project,
    clock,
    setClock: (to) => {
      now = new Date(to)
    },
    env,
    secrets: () => [...openstack.secrets(), aws.env['AWS_SECRET_ACCESS_KEY']!],
    putSchedule: async (item) => {
      await dynamodb.send(new PutCommand({ TableName: 'schedules', Item: item }))
    },
    editSchedule: async (cadence, schedule, attributes) => {
      const names = Object.keys(attributes)
      await dynamodb.send(new UpdateCommand({
        TableName: 'schedules',
        Key: { cadence, schedule },
        UpdateExpression: `SET ${names.map((name) => `#${name} = :${name}`).join(', ')}`,
        ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])),
        ExpressionAttributeValues: Object.fromEntries(names.map((name) => [`:${name}`, attributes[name]])),
      }))
    },
    deleteSchedule: async (cadence, schedule) => {
      await dynamodb.send(new DeleteCommand({ TableName: 'schedules', Key: { cadence, schedule } }))
    },
    getSchedule: async (cadence, schedule) => {
      const { Item } = await dynamodb.send(new GetCommand({ TableName: 'schedules', Key: { cadence, schedule } }))
      return Item
    },
    schedules: () => everything('schedules'),
    runs: () => everything('runs'),
    restoreRuns: async (records) => {
      for (const { server, run } of await everything('runs')) await dynamodb.send(new DeleteCommand({ TableName: 'runs', Key: { server, run } }))
      for (const record of records) await dynamodb.send(new PutCommand({ TableName: 'runs', Item: record }))
    },
    close: async () => {
      client.destroy()
      await Promise.all([openstack.close(), aws.close()])
    },
  }
}
