import fc from 'fast-check'
import { leaksIn } from '../support/secrecy.ts'
import { calmDown } from './calm.ts'
import { commands } from './commands.ts'
import { Stage } from './stage.ts'

/** Three servers, and what most people would schedule for them. */
async function open(): Promise<Stage> {
  const stage = await Stage.open('2026-11-02T22:00:00Z', 7)
  const { openstack, project } = stage.world
  const web = openstack.addServer(project, { name: 'web' })
  const db = openstack.addServer(project, { name: 'db', volumeBacked: true, dataVolumes: 1 })
  const timing = { at: '01:00', spread: 0, timeZone: 'UTC', enabled: true }
  await stage.put('daily/web', { cadence: 'daily', name: 'web', server: { id: web.id }, retention: 2, ...timing })
  await stage.put('daily/db', { cadence: 'daily', name: 'db', server: { id: db.id }, retention: 1, ...timing })
  await stage.put('weekly/web', { cadence: 'weekly', name: 'web', server: { id: web.id }, retention: 1, dayOfWeek: 'Thursday', ...timing })
  const app = openstack.addServer(project, { name: 'app' })
  await stage.put('daily/app', { cadence: 'daily', name: 'app', server: { id: app.id }, retention: 1, consistency: 'stopped', shareWith: stage.partners, ...timing })
  await stage.tickUntil(new Date('2026-11-02T23:30:00Z'))
  return stage
}

/**
 * Random histories of a cloud, its people and this service: the oracle judges each step, and after a calm end all must be well.
 *
 * @param replayPath - Plays one of them again, as a failure prints it.
 * @param judged - Counts how often each law was looked at.
 */
export function histories({ replayPath, judged = {} }: { replayPath?: string | undefined; judged?: Record<string, number> } = {}) {
  const steps = fc.commands(commands, { maxCommands: 36, size: 'max', ...(replayPath !== undefined && { replayPath }) })
  return fc.asyncProperty(steps, async (history) => {
    const stage = await open()
    try {
      await fc.asyncModelRun(() => ({ model: {}, real: stage }), history)
      await calmDown(stage)
      if ((await leaksIn(stage.world)).length > 0) throw new Error('LAW BROKEN: a secret is written nowhere')
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n\n${stage.story.join('\n')}`, { cause: error })
    } finally {
      for (const [law, count] of Object.entries(stage.oracle.judged)) judged[law] = (judged[law] ?? 0) + count
      await stage.close()
    }
  })
}
