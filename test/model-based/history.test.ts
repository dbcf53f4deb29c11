import fc from 'fast-check'
import { expect, test } from 'vitest'
import { calmDown } from './calm.ts'
import { commands, type Command } from './commands.ts'
import { Stage } from './stage.ts'

const { HISTORIES = '25', HISTORY_SEED, HISTORY_PATH, HISTORY_REPLAY } = process.env

/** Two servers, one of each kind, and what most people would schedule for them. */
async function open(): Promise<Stage> {
  const stage = await Stage.open('2026-11-02T22:00:00Z', 7)
  const { openstack, project } = stage.world
  const web = openstack.addServer(project, { name: 'web' })
  const db = openstack.addServer(project, { name: 'db', volumeBacked: true, dataVolumes: 1 })
  const timing = { at: '01:00', spread: 0, timeZone: 'UTC', enabled: true }
  await stage.put('daily/web', { cadence: 'daily', name: 'web', server: { id: web.id }, retention: 2, ...timing })
  await stage.put('daily/db', { cadence: 'daily', name: 'db', server: { id: db.id }, retention: 1, ...timing })
  await stage.put('weekly/web', { cadence: 'weekly', name: 'web', server: { id: web.id }, retention: 1, dayOfWeek: 'Thursday', ...timing })
  await stage.tickUntil(new Date('2026-11-02T23:30:00Z'))
  return stage
}

test('whatever happens to a cloud, no law is broken', async () => {
  const judged: Record<string, number> = {}
  let story: readonly string[] = []
  const property = fc.asyncProperty(fc.commands(commands, { maxCommands: 36, size: 'max', ...(HISTORY_REPLAY && { replayPath: HISTORY_REPLAY }) }), async (history) => {
    const stage = await open()
    try {
      await fc.asyncModelRun(() => ({ model: {}, real: stage }), history)
      await calmDown(stage)
      const written = JSON.stringify([stage.lines, stage.world.aws.events, await stage.world.runs()])
      for (const secret of stage.world.secrets()) if (written.includes(secret)) throw new Error('LAW BROKEN: a secret is written nowhere')
    } catch (error) {
      story = stage.story
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n\n${story.join('\n')}`, { cause: error })
    } finally {
      for (const [law, count] of Object.entries(stage.oracle.judged)) judged[law] = (judged[law] ?? 0) + count
      await stage.close()
    }
  })
  const seed = HISTORY_SEED === undefined ? {} : { seed: Number(HISTORY_SEED) }
  const details = await fc.check(property, { numRuns: Number(HISTORIES), endOnFailure: process.env['HISTORY_SHRINK'] === 'no', ...seed, ...(HISTORY_PATH !== undefined && { path: HISTORY_PATH }) })
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
