import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ScheduleKey } from '../../lib/model/schedule.ts'
import { kinds, type Tables } from './kinds.ts'

describe.each(kinds)('the schedules table on $kind', ({ open }) => {
  let tables: Tables
  let table: Tables['schedules']
  let count = 0
  let key: ScheduleKey

  beforeAll(async () => {
    tables = await open()
    table = tables.schedules
  })
  afterAll(() => tables.close())
  beforeEach(() => {
    count += 1
    key = { cadence: 'daily', name: `web-${count}` }
  })

  /** An item that no other test has. */
  const item = (attributes: Record<string, unknown> = {}) => ({ cadence: key.cadence, schedule: key.name, server: 'web-1', retention: 7, ...attributes })

  test('an item comes back as it was written', async () => {
    const written = item({ keep: { daily: 7, within: 'P14D' }, retention: undefined, adopts: ['weekly/web-1'], timeZone: 'Europe/Stockholm', enabled: false })
    expect(await table.create(written)).toBe(true)
    expect(await table.get(key)).toEqual(JSON.parse(JSON.stringify(written)))
    expect(await table.get({ cadence: 'weekly', name: key.name })).toBeUndefined()
  })

  test('an item that is there is not overwritten', async () => {
    await table.create(item())
    expect(await table.create(item({ retention: 1 }))).toBe(false)
    expect(await table.get(key)).toEqual(item())
  })

  test('a query gives the items of its cadence, in the order of their names, with the faults of each', async () => {
    const cadence = 'yearly'
    for (const attributes of [{ schedule: 'b' }, { schedule: 'a', retension: 1 }, { schedule: 'c' }]) await table.create({ ...item(), cadence, ...attributes })
    await table.create({ ...item(), cadence: 'monthly' })
    const found = await table.query(cadence)
    expect(found.map((parsed) => (parsed.valid ? parsed.schedule.key : parsed.invalid.faults[0]?.message))).toEqual([
      expect.stringContaining('"retension"'), 'yearly/b', 'yearly/c',
    ])
  })

  test('an edit sets and removes what is given, and touches nothing else', async () => {
    await table.create(item({ at: '02:00', state: { since: 'x' } }))
    expect(await table.edit(key, { retention: 3, at: undefined, timeZone: 'Europe/Stockholm', enabled: undefined })).toBe(true)
    expect(await table.get(key)).toEqual(item({ retention: 3, timeZone: 'Europe/Stockholm', state: { since: 'x' } }))
  })

  test('an edit of an item that is gone creates none', async () => {
    expect(await table.edit(key, { retention: 3 })).toBe(false)
    expect(await table.get(key)).toBeUndefined()
  })

  test('an item is removed once', async () => {
    await table.create(item())
    expect(await table.remove(key)).toBe(true)
    expect(await table.remove(key)).toBe(false)
    expect(await table.get(key)).toBeUndefined()
  })

  test('state is written field by field, and nothing else is touched', async () => {
    await table.create(item())
    await table.writeState(key, { since: '2026-11-01T00:00:00.000Z', problem: 'Bad.', next: '2026-11-02T01:00:00.000Z' })
    await table.edit(key, { retention: 3 })
    await table.writeState(key, { problem: undefined, next: '2026-11-03T01:00:00.000Z' })
    expect(await table.get(key)).toEqual(item({ retention: 3, state: { since: '2026-11-01T00:00:00.000Z', next: '2026-11-03T01:00:00.000Z' } }))
  })

  test('state of an item that is gone creates none', async () => {
    await table.writeState(key, { problem: 'Bad.' })
    expect(await table.get(key)).toBeUndefined()
  })

  test.each([['text', 'fine'], ['nothing', null], ['a list', ['x']]])('a state that somebody made %s is replaced', async (_, state) => {
    await table.create(item({ state }))
    await table.writeState(key, { problem: 'Bad.' })
    expect(await table.get(key)).toEqual(item({ state: { problem: 'Bad.' } }))
  })

  test('of 20 who create an item at once one does', async () => {
    const created = await Promise.all(Array.from({ length: 20 }, (_, n) => table.create(item({ retention: n + 1 }))))
    expect(created.filter(Boolean)).toHaveLength(1)
    expect(await table.get(key)).toEqual(item({ retention: created.indexOf(true) + 1 }))
  })
})
