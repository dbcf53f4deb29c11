import { randomUUID } from 'node:crypto'
import { GetCommand, PutCommand, type DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LocalAws } from '../../demo/aws/services.ts'
import { wire, type Service } from '../../lib/wiring.ts'
import { leaks } from '../support/secrecy.ts'
import { shardFunction } from '../support/shards.ts'
import { cloudUnderTest } from './harness.ts'
import { enter, period, startStage } from './service.ts'

const cloud = await cloudUnderTest()
let aws: LocalAws
let dynamodb: DynamoDBDocumentClient
let service: Service
const lines: unknown[] = []
/** The functions' time: a shard leaves alone what is of a period that is over. */
let now = new Date()

/** Plans of more than one server go through the queue. */
beforeAll(async () => {
  const stage = await startStage(cloud)
  aws = stage.aws
  dynamodb = stage.dynamodb
  const env = { ...stage.env, SHARD_QUEUE_URL: aws.queue.url }
  const write = (message: string, fields?: object) => lines.push({ message, fields })
  const log = { debug: write, info: write, warn: write, error: write }
  service = wire({ env, clock: () => now, newId: randomUUID, log, metrics: { record: () => {} }, shardServers: 1 })
})
afterAll(() => aws.close())

test('a plan that is cut into shards makes one good image of each server for a period, and prunes', async () => {
  const servers = { one: await cloud.boot({ label: 'one' }), two: await cloud.boot({ label: 'two' }), backed: await cloud.boot({ label: 'backed', volumeBacked: true }) }
  for (const [schedule, server] of Object.entries(servers)) {
    const Item = { cadence: 'daily', schedule, server, retention: 1, spread: 0, imageName: '{server}-{period}-{time}', onEnable: 'now' }
    await dynamodb.send(new PutCommand({ TableName: 'schedules', Item }))
  }
  const lastGood = async (schedule: string) => {
    const { Item } = await dynamodb.send(new GetCommand({ TableName: 'schedules', Key: { cadence: 'daily', schedule } }))
    return (Item?.['state'] as { lastGood?: { period: string; image: string } } | undefined)?.lastGood
  }
  const deliver = () => aws.queue.deliver(shardFunction(service), 2)
  const tick = (n: number, time: string) => {
    now = new Date(`${period(n)}T${time}:00Z`)
    return { now, timeLeftMs: () => 300_000 }
  }
  for (const n of [1, 2]) {
    const summary = await service.snapshot('daily', tick(n, '01:00'))
    expect(summary).toMatchObject({ started: 0, faults: 0 })
    expect(summary.sharded).toBeGreaterThan(1)
    await deliver()
    await cloud.until(
      async () => {
        await cloud.sleep(1)
        await service.prune(tick(n, '01:15'))
        await deliver()
        return Promise.all(Object.keys(servers).map(lastGood))
      },
      (good) => good.every((one) => one?.period === period(n)),
      120,
    )
  }
  await service.prune(tick(3, '02:00'))
  await deliver()

  const client = await enter(cloud.entry())
  const marked = await client.image.listImages({ owner: client.project, properties: { 'org.openstack__1__created_by': 'scheduled_images_service' } })
  for (const [schedule, server] of Object.entries(servers)) {
    const ours = marked.filter(({ properties }) => properties['instance_uuid'] === server)
    expect(ours.map(({ id, properties }) => [id, properties['scheduled_images__period']])).toEqual([[(await lastGood(schedule))!.image, period(2)]])
  }
  expect(aws.queue.deadLetters).toEqual([])
  expect(leaks({ log: lines, events: aws.events }, cloud.secrets())).toEqual([])
}, 400_000)
