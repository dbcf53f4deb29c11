import { describe, expect, test } from 'vitest'
import { crashPoints, mishaps } from './crash.ts'
import { weathers } from './stage.ts'

/** `npm run test:soak` goes through every call; here every fourth one is struck, by one mishap or another. */
const stride = 4 * mishaps.length

describe.each(weathers)('while %s', (weather) => {
  test.each(mishaps.map((mishap, first) => ({ mishap, first: 4 * first })))('a call of a day $mishap, and every promise is kept', async ({ mishap, first }) => {
    let points = 0
    for await (const { index, call, broken, errors } of crashPoints(weather, mishap, stride, first)) {
      points += 1
      expect(broken, `call ${index} (${call}); errors: ${errors.join(' | ')}`).toEqual([])
    }
    expect(points).toBeGreaterThan(5)
  }, 120_000)
})
