import { describe, expect, test } from 'vitest'
import { crashPoints, mishaps } from './crash.ts'
import { weathers, type Plans } from './stage.ts'

/** `CRASH_STRIDE=1` goes through every call, as `npm run test:soak` does, and `CRASH_CALL` strikes one, as a failure prints it. */
const { CRASH_STRIDE = '24', CRASH_CALL } = process.env

const stride = CRASH_CALL === undefined ? Number(CRASH_STRIDE) : Infinity

const plans: readonly Plans[] = ['whole', 'in shards']

/** Each day every sixth call is struck, by one mishap or another; the next day those after them. */
function firstOf(mishap: number): number {
  if (CRASH_CALL !== undefined) return Number(CRASH_CALL)
  const today = Math.floor(Date.now() / 86_400_000)
  return (today + mishap * Math.ceil(stride / mishaps.length)) % stride
}

/** The calls that were struck. */
const struck: Record<Plans, string[]> = { whole: [], 'in shards': [] }

describe.each(weathers)('while %s', (weather) => {
  test.each(plans.flatMap((plans) => mishaps.map((mishap, i) => ({ mishap, plans, first: firstOf(i) }))))('a call of a day $mishap, with plans $plans, and every promise is kept', async ({ mishap, plans, first }) => {
    const calls: string[] = []
    for await (const { index, call, broken, errors } of crashPoints(weather, mishap, plans, plans === 'whole' ? stride : stride * 2, first)) {
      calls.push(call)
      expect(broken, `CRASH_CALL=${index} (${call}); errors: ${errors.join(' | ')}`).toEqual([])
    }
    expect(calls.length).toBeGreaterThan(CRASH_CALL === undefined ? 3 : 0)
    struck[plans].push(...calls)
  }, Math.max(120_000, 2_000_000 / stride))
})

test.skipIf(CRASH_CALL !== undefined)('calls of shards were struck, where plans are cut', () => {
  const isOfShard = (call: string) => call.startsWith('shard at')
  expect(struck['in shards'].some(isOfShard)).toBe(true)
  expect(struck.whole.some(isOfShard)).toBe(false)
})
