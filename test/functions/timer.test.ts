import type { Context } from 'aws-lambda'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startWorld, type World } from '../../demo/world.ts'
import { handler as prune } from '../../functions/prune.ts'
import { handler as snapshotDaily } from '../../functions/snapshot-daily.ts'
import { handler as snapshotWeekly } from '../../functions/snapshot-weekly.ts'
import { wired } from '../../lib/wiring.ts'
import { leaksIn, watchLog } from '../support/secrecy.ts'

let world: World
const lines: { message: string; fields: object | undefined }[] = []
const context = { functionName: 'scheduled-images-test', getRemainingTimeInMillis: () => 300_000 } as Context
const now = '2026-11-01T01:00:00Z'

beforeAll(async () => {
  world = await startWorld({ now })
  const written: unknown[] = []
  watchLog(world, written)
  const write = (message: string, fields?: object) => {
    lines.push({ message, fields })
    written.push({ message, fields })
  }
  wired({ env: world.env, clock: world.clock, log: { debug: write, info: write, warn: write, error: write }, metrics: { record: () => {} } })
})
afterAll(async () => {
  expect(await leaksIn(world)).toEqual([])
  await world.close()
})
beforeEach(() => lines.splice(0))

test('a handler returns its summary, and logs it as one line', async () => {
  const summary = await snapshotWeekly({ time: now, 'detail-type': 'Scheduled Event' }, context)
  expect(summary).toMatchObject({ schedules: 0, started: 0 })
  expect(lines).toMatchObject([{ message: 'summary: nothing to do', fields: { now: '2026-11-01T01:00:00.000Z', function: 'scheduled-images-test' } }])
})

test.each([[{}], [undefined], [null], ['']])('an empty event (%j) means now by the clock', async (event) => {
  await prune(event, context)
  expect(lines.at(-1)!.fields).toMatchObject({ now: '2026-11-01T01:00:00.000Z' })
})

test.each<[event: unknown, message: string]>([
  [{ time: 'yesterday' }, 'The event\'s "time" must be an instant such as 2026-11-21T01:00:00Z, not "yesterday".'],
  [{ time: 7 }, 'The event\'s "time" must be an instant such as 2026-11-21T01:00:00Z, not 7.'],
  [{ time: '2026-11-01T02:00:00Z' }, 'The event\'s "time" is in the future: 2026-11-01T02:00:00Z. A tick can be repeated, but not brought forward.'],
])('%j is refused by name', async (event, message) => {
  await expect(snapshotDaily(event, context)).rejects.toMatchObject({ code: 'EVENT_INVALID', message })
})

test('the three handlers make a good image, and the counts of the summary are words', async () => {
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  await world.putSchedule({ cadence: 'daily', schedule: 'web-1', server: id, retention: 1, spread: 0 })
  await snapshotDaily({ time: now }, context)
  expect(lines.at(-1)!.message).toBe('summary: 1 schedules, 1 started')
  world.setClock('2026-11-01T01:15:00Z')
  await prune({}, context)
  expect(lines.at(-1)!.message).toBe('summary: 1 clouds, 1 good, 1 kept')
  expect(world.aws.events.map(({ type }) => type)).toEqual(['Scheduled Image Started', 'Scheduled Image Good'])
})
