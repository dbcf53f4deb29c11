import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Context } from 'aws-lambda'
import { timer } from '../functions/timer.ts'
import type { LogFields } from '../lib/runner/ports.ts'
import { useWorld } from './support/fixture.ts'
import { scheduled } from './support/scene.ts'
import { serviceIn } from './support/service.ts'

const fixture = useWorld({ now: '2026-11-15T00:00:00Z', seed: 1, snapshotSeconds: { saving: 20, active: 400, idle: 402 } })

/** The day that docs/logs.md shows: its first code block, line by line. */
function shownDay(): string[] {
  const page = readFileSync(new URL('../docs/logs.md', import.meta.url), 'utf8')
  const [, block] = /\n## A day, as its log tells it\n.*?\n```\n(.*?)\n```\n/s.exec(page)!
  return block!.split('\n')
}

test('the day in docs/logs.md is what the functions say of it', async () => {
  const { world } = fixture
  const said: string[] = []
  let speaker = ''
  const write = (level: string) => (message: string, { schedule = '' }: LogFields = {}) =>
    void said.push(`${world.clock().toISOString().slice(11, 16)}  ${speaker.padEnd(13)}  ${level}  ${schedule.padEnd(12)}  ${message}`)
  const service = serviceIn(world, {}, { log: { debug: () => {}, info: write('INFO'), warn: write('WARN'), error: write('ERROR') } })
  const functions = {
    snapshotDaily: timer((of, tick) => of.snapshot('daily', tick), () => service),
    prune: timer((of, tick) => of.prune(tick), () => service),
  }
  await scheduled(world, 'web-1', {}, { retention: 2 })
  await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 }, { at: '01:15', retention: 3 })
  const shop = await scheduled(world, 'shop-1', {}, { at: '01:30', retention: 2 })
  const play = async (day: number, from: string, to: string) => {
    for (let at = Date.parse(`2026-11-${day}T${from}:00Z`); at <= Date.parse(`2026-11-${day}T${to}:00Z`); at += 15 * 60_000) {
      world.setClock(new Date(at))
      for (const [name, handler] of Object.entries(functions)) {
        speaker = name
        await handler({ time: new Date(at).toISOString() }, { functionName: name, getRemainingTimeInMillis: () => 300_000 } as Context)
      }
    }
  }
  for (const day of [15, 16, 17]) await play(day, '00:45', '02:30')
  said.splice(0)
  await play(18, '00:45', '01:15')
  world.openstack.setServer(shop.id, { metadata: { lab_fail: 'snapshot' } })
  await play(18, '01:30', '01:45')
  world.openstack.setServer(shop.id, { metadata: {} })
  await play(18, '02:00', '02:30')
  // What one function does at once, it may tell in any order.
  expect(said.toSorted()).toEqual(shownDay().toSorted())
})
