import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Command } from './commands.ts'
import { histories } from './history.ts'

const { HISTORIES = '8', HISTORY_SEED, HISTORY_PATH, HISTORY_REPLAY, HISTORY_SHRINK } = process.env

test('whatever happens to a cloud, no law is broken', async () => {
  const judged: Record<string, number> = {}
  const seed = HISTORY_SEED === undefined ? {} : { seed: Number(HISTORY_SEED) }
  const details = await fc.check(histories({ replayPath: HISTORY_REPLAY, judged }), { numRuns: Number(HISTORIES), endOnFailure: HISTORY_SHRINK === 'no', ...seed, ...(HISTORY_PATH !== undefined && { path: HISTORY_PATH }) })
  const judgedOften = Object.entries(judged).map(([law, count]) => `${law} ${count}`)
  process.stdout.write(`${details.numRuns} histories of seed ${details.seed} judged: ${judgedOften.join(', ')}\n`)
  expect(details.failed ? report(details) : undefined).toBeUndefined()
}, 3_600_000)

function report({ seed, counterexample, counterexamplePath, errorInstance, numRuns, numShrinks }: fc.RunDetails<[Iterable<Command>]>): string {
  const [history] = counterexample!
  const replay = /replayPath="([^"]*)"/.exec(String(history))?.[1]
  const message = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  return [
    `history ${numRuns} broke a law; shrunk ${numShrinks} times. To play it again:`,
    `HISTORY_SEED=${seed} HISTORY_PATH='${counterexamplePath}' HISTORY_REPLAY='${replay}' npx vitest run test/model-based`,
    '', String(history).replace(/\s*\/\*replayPath.*/, '').replaceAll(/,(?=[A-Z]\w*\()/g, '\n'), '', message,
  ].join('\n')
}
