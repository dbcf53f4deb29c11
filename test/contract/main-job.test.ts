import { randomUUID } from 'node:crypto'
import { GetCommand, PutCommand, type DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LocalAws } from '../../demo/aws/services.ts'
import { connect } from '../../lib/openstack/cloud.ts'
import { parseCloudConfig } from '../../lib/openstack/config.ts'
import { wire, type Service } from '../../lib/wiring.ts'
import { leaks } from '../support/secrecy.ts'
import { cloudUnderTest } from './harness.ts'
import { startStage } from './service.ts'

const cloud = await cloudUnderTest()
let aws: LocalAws
let dynamodb: DynamoDBDocumentClient
/** Two of them, as two Lambda instances. */
let services: [Service, Service]
const lines: unknown[] = []

beforeAll(async () => {
  const stage = await startStage(cloud)
  aws = stage.aws
  dynamodb = stage.dynamodb
  const write = (message: string, fields?: object) => lines.push({ message, fields })
  const log = { debug: write, info: write, warn: write, error: write }
  const one = () => wire({ env: stage.env, clock: () => new Date(), newId: randomUUID, log, metrics: { record: () => {} } })
  services = [one(), one()]
})
afterAll(() => aws.close())

/** The last seven days: a tick may be repeated, but not brought forward. */
const days = Array.from({ length: 7 }, (_, n) => new Date(Date.now() - (8 - n) * 86_400_000).toISOString().slice(0, 10))
const tick = (date: string, time: string) => ({ now: new Date(`${date}T${time}Z`), timeLeftMs: () => 300_000 })

async function stateOf(schedule: string): Promise<Record<string, { image: string; period: string }>> {
  const { Item } = await dynamodb.send(new GetCommand({ TableName: 'schedules', Key: { cadence: 'daily', schedule } }))
  return Item?.['state'] as Record<string, { image: string; period: string }>
}

/** Both snapshot functions at once, twice; then prune until each server has its good image of the day. */
async function runDay(date: string, schedules: readonly string[]): Promise<void> {
  for (const at of ['01:00:00', '01:15:00']) await Promise.all(services.map((service) => service.snapshot('daily', tick(date, at))))
  await cloud.until(
    async () => {
      await cloud.sleep(1)
      await services[0].prune(tick(date, '01:30:00'))
      return Promise.all(schedules.map(stateOf))
    },
    (states) => states.every((state) => state['lastGood']?.period === date),
    120,
  )
}

test('seven daily runs of three servers with retention 3 leave the three newest good images of each, and every image of a person', async () => {
  const client = await connect(parseCloudConfig(JSON.stringify(cloud.entry()), 'test'), { clock: () => new Date() })
  const api = await cloud.api()
  const act = (server: string, body: object) => api.request('compute', 'POST', `/servers/${server}/action`, { body })
  const [plain, backed, off] = await Promise.all([
    cloud.boot({ label: 'plain' }),
    cloud.boot({ label: 'backed', volumeBacked: true, dataVolumes: 1 }),
    cloud.boot({ label: 'off' }),
  ])
  await act(off, { 'os-stop': null })
  await cloud.untilServer(off, 'SHUTOFF')
  const servers = { plain, backed, off }
  const snapshotsBefore = new Set((await client.blockStorage.listSnapshots()).keys())
  for (const [schedule, server] of Object.entries(servers)) {
    const item = { cadence: 'daily', schedule, server, retention: 3, spread: 0, imageName: '{server}-{period}-{time}', onEnable: 'now' }
    await dynamodb.send(new PutCommand({ TableName: 'schedules', Item: item }))
  }

  const byHand: string[] = []
  for (const [n, date] of days.entries()) {
    await runDay(date, Object.keys(servers))
    if (n === 1) {
      // A person makes images of the same servers, and of one that is restored from an image of ours.
      const ours = (await stateOf('plain'))['lastGood']!.image
      const restored = await cloud.boot({ label: 'restored', image: ours })
      const inherited = await cloud.snapshot(restored, 'of-restored')
      expect((await cloud.finished(inherited, restored))['org.openstack__1__created_by']).toBe('scheduled_images_service')
      byHand.push(inherited)
      for (const server of Object.values(servers)) byHand.push(await cloud.snapshot(server, 'by-hand'))
      for (const server of Object.values(servers)) await cloud.until(() => cloud.server(server), (seen) => seen['OS-EXT-STS:task_state'] === null)
    }
  }

  const marked = await client.image.listImages({ owner: client.project, properties: { 'org.openstack__1__created_by': 'scheduled_images_service' } })
  for (const server of Object.values(servers)) {
    const images = marked.filter(({ properties }) => properties['instance_uuid'] === server && properties['scheduled_images__schedule'] !== undefined)
    const scheduled = images.filter(({ id, properties }) => properties['scheduled_images__image'] === id)
    expect(scheduled.map(({ status, tags, properties }) => [properties['scheduled_images__period'], status, tags]).toSorted()).toEqual(
      days.slice(-3).map((date) => [date, 'active', ['scheduled-images']]),
    )
    // One image for each server and period, although each event came twice, to two functions at once.
    expect(images.filter(({ id }) => !byHand.includes(id))).toHaveLength(3)
  }
  for (const id of byHand) expect(await cloud.image(id)).toMatchObject({ status: 'active' })

  // The volume snapshots that are left are those of three images of ours and one of the person's, two volumes each.
  const left = await cloud.until(
    async () => [...(await client.blockStorage.listSnapshots())].filter(([id]) => !snapshotsBefore.has(id)),
    (snapshots) => snapshots.length <= 8,
  )
  expect(left.map(([, { status }]) => status)).toEqual(Array.from({ length: 8 }, () => 'available'))

  expect(leaks({ log: lines, events: aws.events }, cloud.secrets())).toEqual([])
}, 400_000)
