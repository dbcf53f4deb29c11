import fc from 'fast-check'
import { test } from 'vitest'
import { overlaps } from './overlap.ts'

/** A failure prints its seed and path; given here, they play the same interleaving again. */
const { INTERLEAVINGS = '60', REPLAY_SEED, REPLAY_PATH } = process.env

test('invocations at once keep every promise, however their calls interleave', async () => {
  const replay = REPLAY_SEED === undefined ? {} : { seed: Number(REPLAY_SEED), path: REPLAY_PATH ?? '0' }
  await fc.assert(overlaps(), { numRuns: Number(INTERLEAVINGS), endOnFailure: true, ...replay })
}, 180_000)
