import { SQSClient } from '@aws-sdk/client-sqs'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startAws, type LocalAws } from '../../demo/aws/services.ts'
import { ShardQueue } from '../../lib/aws/shard-queue.ts'

let aws: LocalAws
let queue: ShardQueue
beforeAll(async () => {
  aws = await startAws()
  Object.assign(process.env, aws.env)
  queue = new ShardQueue(aws.queue.url, new SQSClient({ maxAttempts: 1 }))
})
afterAll(() => aws.close())
beforeEach(async () => {
  await aws.queue.deliver(() => Promise.resolve({ batchItemFailures: [] }))
})

const message = (n: number, bytes = 100) => ({ n, text: 'x'.repeat(bytes - JSON.stringify({ n, text: '' }).length) })
const queued = () => aws.queue.messages.map(({ body }) => (JSON.parse(body) as { n: number }).n)
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

test.each<[what: string, count: number, bytes: number, calls: number]>([
  ['ten small ones take one call', 10, 100, 1],
  ['eleven take two', 11, 100, 2],
  ['a call has at most 256 KiB', 6, 100 * 1024, 3],
  ['one may have as many', 2, 256 * 1024, 2],
])('%s', async (_what, count, bytes, calls) => {
  const before = aws.queue.calls
  expect(await queue.send(numbers(count).map((n) => message(n, bytes)))).toEqual([])
  expect(aws.queue.calls - before).toBe(calls)
  expect(queued().toSorted((a, b) => a - b)).toEqual(numbers(count))
})

test('a message that is too large is left out with the reason, and the others are sent', async () => {
  const large = message(0, 256 * 1024 + 1)
  expect(await queue.send([large, message(1)])).toEqual([{ shard: large, reason: 'it has 262145 bytes, and SQS takes 262144' }])
  expect(queued()).toEqual([1])
})

test('those that SQS has no room for are sent again, and no others', async () => {
  const before = aws.queue.calls
  aws.queue.refusing = 3
  expect(await queue.send(numbers(5).map((n) => message(n)))).toEqual([])
  expect(aws.queue.calls - before).toBe(2)
  expect(queued()).toEqual([3, 4, 0, 1, 2])
})

test('after four attempts SQS is believed', async () => {
  const before = aws.queue.calls
  aws.queue.refusing = 4
  const [only] = [message(0)]
  expect(await queue.send([only])).toEqual([{ shard: only, reason: 'InternalError Try again.' }])
  expect(aws.queue.calls - before).toBe(4)
})

test('when the call fails, all of its messages are unsent', async () => {
  aws.queue.fails = true
  const two = [message(0), message(1)]
  expect(await queue.send(two)).toEqual(two.map((shard) => ({ shard, reason: expect.stringContaining('InternalFailure') })))
  aws.queue.fails = false
  expect(queued()).toEqual([])
})
