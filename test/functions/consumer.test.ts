import type { Context } from 'aws-lambda'
import { expect, test } from 'vitest'
import { consumer } from '../../functions/consumer.ts'
import { useWorld } from '../support/fixture.ts'
import { day, scheduled } from '../support/scene.ts'
import { shardingIn } from '../support/shards.ts'

const fixture = useWorld()
const context = { functionName: 'scheduled-images-test-shard', getRemainingTimeInMillis: () => 900_000 } as Context

test('a message is summarised in one line, and the events of what was done are sent', async () => {
  const { world } = fixture
  for (let n = 1; n <= 6; n += 1) await scheduled(world, `web-${n}`)
  const service = shardingIn(world)
  await service.tickAt(day(1, '00:30:00'))
  await service.snapshotAt('daily', day(1))
  const { body } = world.aws.queue.messages[0]!
  expect(await consumer(() => service)({ Records: [{ messageId: 'm-1', body }] }, context)).toEqual({ batchItemFailures: [] })
  expect(service.lines.at(-1)).toMatchObject({
    level: 'info', message: 'summary: 5 started', started: 5, cloud: 'default', kind: 'snapshot', shard: 1, of: 2, now: '2026-11-01T01:00:00.000Z', function: 'scheduled-images-test-shard',
  })
  expect(world.aws.events.map(({ type }) => type)).toEqual(Array(5).fill('Scheduled Image Started'))
})

test('a message that cannot be read is told of with its id, which its dead letter has too', async () => {
  const { service } = fixture
  expect(await consumer(() => service)({ Records: [{ messageId: 'm-1', body: '{}' }] }, context)).toEqual({ batchItemFailures: [{ itemIdentifier: 'm-1' }] })
  expect(service.lines.at(-1)).toMatchObject({ level: 'error', messageId: 'm-1', code: 'SHARD_INVALID' })
})

test.each([[{}], [undefined], [{ Records: [{ body: '{}' }] }], [{ time: day(1) }]])('an event without messages (%j) is refused by name', async (event) => {
  await expect(consumer(() => fixture.service)(event, context)).rejects.toMatchObject({ code: 'EVENT_INVALID', message: expect.stringContaining('The event holds no messages of a queue') })
})
