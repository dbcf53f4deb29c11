import { randomUUID } from 'node:crypto'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, GetCommand, PutCommand, ScanCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, expect } from 'vitest'
import { startAws, type LocalAws } from '../../demo/aws/services.ts'
import { createTables } from '../../demo/aws/tables.ts'
import { connect, type OpenStack } from '../../lib/openstack/cloud.ts'
import { parseCloudConfig } from '../../lib/openstack/config.ts'
import type { Image } from '../../lib/model/image.ts'
import type { TimedCadence } from '../../lib/model/schedule.ts'
import { wire, type Service } from '../../lib/wiring.ts'
import type { CloudEntry, CloudUnderTest } from './harness.ts'

type Snapshot = Awaited<ReturnType<Service['snapshot']>>
type Prune = Awaited<ReturnType<Service['prune']>>

/** What a user sees in an item. */
interface State {
  readonly problem?: string
  readonly lastGood?: { readonly image: string; readonly period: string }
}

/** The whole service on a cloud, with tables of its own. */
export interface DeployedService {
  /** Messages of the log. */
  readonly lines: readonly string[]
  /** Gives the functions credentials, by a name; `default` has those of the cloud under test. */
  putCloud(name: string, entry: CloudEntry): void
  /** A daily schedule that keeps 1, begins at once and names its images so that they are cleaned up. */
  putSchedule(schedule: string, server: string, item?: Readonly<Record<string, unknown>>): Promise<void>
  state(schedule: string, cadence?: TimedCadence): Promise<State>
  /** The snapshot function of any cadence, fired at an instant that is past. */
  run(cadence: TimedCadence, at: Date): Promise<Snapshot>
  /** Prunes, a second apart, until a schedule's newest good image is that of a period. */
  made(cadence: TimedCadence, schedule: string, period: string): Promise<void>
  /** The image that is being made of a server. */
  saving(server: string): Promise<string>
  /** The snapshot function of `daily`, fired at a time of the n-th of the last days. */
  snapshot(n: number, time?: string): Promise<Snapshot>
  /** The same, of another Lambda instance. */
  snapshotElsewhere(n: number, time?: string): Promise<Snapshot>
  prune(n: number, time?: string): Promise<Prune>
  /** Prunes, a second apart, until the newest good image of each schedule is that day's. */
  good(n: number, ...schedules: readonly string[]): Promise<void>
  /** Prunes, a second apart, until no run is in flight. @returns the last summary that told of one. */
  settled(n: number): Promise<Prune>
  /** Moves the functions' clock, and not the cloud's. */
  later(hours: number): void
  /** From the next claim on, an invocation has only so many seconds for its request. */
  hurry(seconds: number): void
  /** Our images of a server, oldest first: those that are sealed with their own id. */
  images(server: string): Promise<Image[]>
}

const today = Date.now()

/** The period of the n-th of the last days; a tick may come late, but not early. */
export function period(n: number): string {
  return new Date(today - (10 - n) * 86_400_000).toISOString().slice(0, 10)
}

/** Our client, entered with an entry of clouds.yaml. */
export function enter(entry: CloudEntry, options: Partial<Parameters<typeof connect>[1]> = {}): Promise<OpenStack> {
  return connect(parseCloudConfig(JSON.stringify(entry), 'test'), { clock: () => new Date(), ...options })
}

/** AWS on loopback, with one pair of tables and the cloud under test as `default`. */
export async function startStage(cloud: CloudUnderTest): Promise<{ aws: LocalAws; dynamodb: DynamoDBDocumentClient; env: Record<string, string> }> {
  const aws = await startAws()
  Object.assign(process.env, aws.env)
  const client = new DynamoDBClient({})
  await createTables(client, { schedules: 'schedules', runs: 'runs' })
  aws.parameters.set('/clouds/default', JSON.stringify(cloud.entry()))
  return { aws, dynamodb: DynamoDBDocumentClient.from(client), env: { SCHEDULES_TABLE: 'schedules', RUNS_TABLE: 'runs', CLOUDS_PATH: '/clouds/', EVENT_BUS: 'bus' } }
}

/** Call it once, at the top of a test file. @returns what deploys a service afresh, for one test. */
export function useService(cloud: CloudUnderTest): () => Promise<DeployedService> {
  let aws: LocalAws
  let client: DynamoDBClient
  let deployed = 0
  const written: unknown[] = []
  beforeAll(async () => {
    aws = await startAws()
    Object.assign(process.env, aws.env)
    client = new DynamoDBClient({})
  })
  afterAll(async () => {
    const text = JSON.stringify([written, aws.events])
    for (const [, secret] of Object.entries(cloud.entry().auth).filter(([name]) => /password|secret/.test(name))) expect(text).not.toContain(secret)
    client.destroy()
    await aws.close()
  })

  return async () => {
    deployed += 1
    const tables = { schedules: `schedules-${deployed}`, runs: `runs-${deployed}` }
    const path = `/clouds-${deployed}/`
    await createTables(client, tables)
    const dynamodb = DynamoDBDocumentClient.from(client)
    const lines: string[] = []
    let shiftMs = 0
    let hurriedMs: number | undefined
    let timeLeftMs = 300_000
    const write = (message: string, fields?: object) => {
      lines.push(message)
      written.push([message, fields])
    }
    const instance = () =>
      wire({
        env: { SCHEDULES_TABLE: tables.schedules, RUNS_TABLE: tables.runs, CLOUDS_PATH: path, EVENT_BUS: 'bus' },
        clock: () => new Date(Date.now() + shiftMs),
        newId: () => {
          timeLeftMs = hurriedMs ?? timeLeftMs
          return randomUUID()
        },
        // On a simulated cloud the time passes by itself.
        ...(!cloud.real && { sleep: (ms: number) => cloud.sleep(ms / 1000) }),
        log: { debug: write, info: write, warn: write, error: write },
        metrics: { record: () => {} },
      })
    const [first, second] = [instance(), instance()]
    const tick = (n: number, time: string) => {
      timeLeftMs = 300_000
      return { now: new Date(`${period(n)}T${time}:00Z`), timeLeftMs: () => timeLeftMs }
    }
    const service: DeployedService = {
      lines,
      putCloud: (name, entry) => aws.parameters.set(`${path}${name}`, JSON.stringify(entry)),
      putSchedule: async (schedule, server, item = {}) => {
        const Item = { cadence: 'daily', schedule, server, retention: 1, spread: 0, imageName: '{server}-{period}-{time}', onEnable: 'now', ...item }
        await dynamodb.send(new PutCommand({ TableName: tables.schedules, Item }))
      },
      state: async (schedule, cadence = 'daily') => {
        const { Item } = await dynamodb.send(new GetCommand({ TableName: tables.schedules, Key: { cadence, schedule } }))
        return (Item?.['state'] ?? {}) as State
      },
      saving: async (server) => {
        const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: tables.runs }))
        return Items.find((run) => run['server'] === server && run['status'] === 'saving')!['image'] as string
      },
      snapshot: (n, time = '01:00') => first.snapshot('daily', tick(n, time)).finally(first.flush),
      snapshotElsewhere: (n, time = '01:00') => second.snapshot('daily', tick(n, time)).finally(second.flush),
      run: (cadence, at) => first.snapshot(cadence, { now: at, timeLeftMs: () => 300_000 }).finally(first.flush),
      made: async (cadence, schedule, of) => {
        await cloud.until(
          async () => {
            await cloud.sleep(1)
            await service.prune(9, '23:00')
            return service.state(schedule, cadence)
          },
          ({ lastGood }) => lastGood?.period === of,
          90,
        )
      },
      prune: (n, time = '01:30') => first.prune(tick(n, time)).finally(first.flush),
      good: async (n, ...schedules) => {
        await cloud.until(
          async () => {
            await cloud.sleep(1)
            await service.prune(n)
            return Promise.all(schedules.map((schedule) => service.state(schedule)))
          },
          (states) => states.every(({ lastGood }) => lastGood?.period === period(n)),
          90,
        )
      },
      settled: async (n) => {
        let told!: Prune
        await cloud.until(
          async () => {
            await cloud.sleep(1)
            const summary = await service.prune(n)
            if (summary.good + summary.failed + summary.waiting > 0) told = summary
            return summary
          },
          ({ waiting, good, failed }) => waiting === 0 && good + failed > 0,
          90,
        )
        return told
      },
      later: (hours) => {
        shiftMs += hours * 3_600_000
      },
      hurry: (seconds) => {
        // The transport keeps ten seconds for what comes after a request.
        hurriedMs = 10_000 + seconds * 1000
      },
      images: async (server) => {
        const mine = await enter(cloud.entry())
        const images = await mine.image.listImages({ owner: mine.project, properties: { instance_uuid: server } })
        return images
          .filter(({ id, properties }) => properties['scheduled_images__image'] === id)
          .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
      },
    }
    service.putCloud('default', cloud.entry())
    return service
  }
}
