import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb'
import { expect, test } from 'vitest'
import { startWorld, type World } from '../../demo/world.ts'
import { day, enable, scheduled } from './scene.ts'
import { leaksIn } from './secrecy.ts'
import { serviceIn, type TestService } from './service.ts'

/** A place where something was written. */
type Leak = (secret: string, world: World, service: TestService) => unknown

test.each<[place: string, how: string, leak: Leak]>([
  ['the log', 'that is logged', (secret, _, { log }) => log.info(`entered with ${secret}`)],
  ['the log', 'deep in a field', (secret, _, { log }) => log.info('x', { deep: [{ deeper: new Map([['x', new Set([secret])]]) }] })],
  ['the log', 'in the message of an error', (secret, _, { log }) => log.error('x', { error: new Error(`refused ${secret}`) })],
  ['the log', 'in the cause of an error', (secret, _, { log }) => log.error('x', { error: new Error('x', { cause: new Error(secret) }) })],
  ['the log', 'in what an error carries', (secret, _, { log }) => log.error('x', { error: Object.assign(new Error('x'), { config: { headers: { 'X-Auth-Token': secret } } }) })],
  ['the log', 'in one of many errors', (secret, _, { log }) => log.error('x', { error: new AggregateError([new Error(secret)]) })],
  ['the log', 'of a second service', (secret, world) => serviceIn(world).log.debug(secret)],
  ['the events', 'in a reason', (secret, { aws }) => aws.events.push({ type: 'x', source: 'x', bus: 'x', detail: { reason: { message: secret } } })],
  ['the schedules table', 'in a problem', (secret, world) => world.editSchedule('daily', 'web-1', { state: { problem: `it said ${secret}` } })],
  ['the runs table', 'in a problem', (secret) => DynamoDBDocumentClient.from(new DynamoDBClient({})).send(new PutCommand({ TableName: 'runs', Item: { server: 'x', run: 'x', problem: { message: secret } } }))],
])('a secret is found in %s: %s', async (place, _how, leak) => {
  const world = await startWorld({ now: day(1, '00:00:00') })
  try {
    const service = serviceIn(world)
    await scheduled(world, 'web-1')
    await enable(service)
    await service.snapshotAt('daily', day(1))
    expect(world.secrets()).toHaveLength(4)
    expect(await leaksIn(world)).toEqual([])
    for (const secret of world.secrets()) {
      await leak(secret, world, service)
      expect(await leaksIn(world)).toContain(`${secret} in ${place}`)
    }
  } finally {
    // What was put among them is no event of ours.
    world.aws.events.length = 0
    await world.close()
  }
})

test('every test that builds a service has what it wrote searched', () => {
  const root = join(import.meta.dirname, '..')
  const builders = globSync('**/*.test.ts', { cwd: root }).filter((file) => /\b(wire|wired|serviceIn)\(/.test(readFileSync(join(root, file), 'utf8')))
  expect(builders.length).toBeGreaterThan(3)
  for (const file of builders) expect(`${file}: ${readFileSync(join(root, file), 'utf8')}`).toMatch(/useWorld\(|useDesk\(|leaks(In)?\(/)
})
