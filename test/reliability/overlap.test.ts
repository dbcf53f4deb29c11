import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkOverlaps } from './overlap.ts'

/** A failure prints its seed and path; given here, they play the same interleaving again. */
const { INTERLEAVINGS = '40', REPLAY_SEED, REPLAY_PATH } = process.env

test('invocations at once keep every promise, however their calls interleave', async () => {
  const replay = REPLAY_SEED === undefined ? {} : { seed: Number(REPLAY_SEED), path: REPLAY_PATH ?? '0' }
  const details = await checkOverlaps({ numRuns: Number(INTERLEAVINGS), ...replay })
  expect(details.failed ? fc.defaultReportMessage(details) : undefined).toBeUndefined()
}, 180_000)
