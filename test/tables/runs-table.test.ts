import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runRecord } from '../../lib/model/record.ts'
import { runKeyText, type Run } from '../../lib/model/run.ts'
import { id, run, web1, web2 } from '../support/builders.ts'
import { kinds, type Tables } from './kinds.ts'

describe.each(kinds)('the runs table on $kind', ({ open }) => {
  let tables: Tables
  let table: Tables['runs']
  let period = 0

  beforeAll(async () => {
    tables = await open()
    table = tables.runs
  })
  afterAll(() => tables.close())
  beforeEach(() => {
    tables.unreadable.length = 0
    period += 1
  })

  /** A run of a period that no other test uses. */
  const fresh = (attributes: Partial<Run> = {}): Run => run({ period: `p-${period}`, cloud: `cloud-${period}`, status: 'starting', ...attributes })

  const serversInFlight = (since = new Date(0)) => table.serversInFlight(`cloud-${period}`, since)

  test('a run comes back as it was written', async () => {
    const claimed = fresh({ problem: { code: 'IMAGE_GONE', message: 'Gone.' }, requestId: 'req-1' })
    expect(await table.claim(claimed, undefined)).toBe(true)
    expect([...(await table.get([claimed])).entries()]).toEqual([[runKeyText(claimed), claimed]])
  })

  test('of 20 claims at once one wins', async () => {
    const claims = Array.from({ length: 20 }, (_, n) => table.claim(fresh({ runId: `claim-${n}` }), undefined))
    const won = await Promise.all(claims)
    expect(won.filter(Boolean)).toHaveLength(1)
    expect((await table.get([fresh()])).get(runKeyText(fresh()))?.runId).toBe(`claim-${won.indexOf(true)}`)
  })

  test('a failed run is claimed anew by whoever saw it last, once', async () => {
    const failed = fresh({ status: 'failed', retryAt: new Date('2026-11-21T02:00:00Z') })
    await table.claim(failed, undefined)
    const claims = ['a', 'b'].map((runId) => table.claim(fresh({ runId, attempt: 2 }), failed))
    expect((await Promise.all(claims)).toSorted()).toEqual([false, true])
    expect(await table.claim(fresh({ runId: 'c', attempt: 2 }), failed)).toBe(false)
  })

  test('nothing is claimed in place of a run that is not there', async () => {
    expect(await table.claim(fresh({ attempt: 2 }), fresh({ status: 'failed' }))).toBe(false)
    expect((await table.get([fresh()])).size).toBe(0)
  })

  test('a run advances only from what it was seen to be', async () => {
    const starting = fresh()
    await table.claim(starting, undefined)
    const saving: Run = { ...starting, status: 'saving' }
    expect(await table.advance(starting, saving)).toBe(true)
    expect(await table.advance(starting, { ...starting, status: 'failed' })).toBe(false)
    expect(await table.advance({ ...saving, runId: 'another' }, { ...saving, status: 'failed' })).toBe(false)
    expect((await table.get([starting])).get(runKeyText(starting))?.status).toBe('saving')
  })

  test('the index holds what is in flight, and forgets it when it is settled', async () => {
    const mine = (runs: readonly Run[]) => runs.filter(({ cloud }) => cloud === `cloud-${period}`)
    const starting = fresh()
    await table.claim(starting, undefined)
    expect(mine((await table.inFlight()).runs)).toEqual([starting])
    expect((await table.inFlight(starting.cloud)).runs).toEqual([starting])
    expect((await table.inFlight('another')).runs).toEqual([])
    expect(await serversInFlight()).toEqual({ making: [starting.server], stopped: [] })
    expect(await serversInFlight(starting.startedAt)).toEqual({ making: [], stopped: [] })
    await table.advance(starting, { ...starting, status: 'good' })
    expect(mine((await table.inFlight()).runs)).toEqual([])
    expect(await serversInFlight()).toEqual({ making: [], stopped: [] })
  })

  test('a deletion is in flight until it is removed, and takes no slot of an image', async () => {
    const deletion = { cloud: `cloud-${period}`, server: web1, schedule: 'daily/web-1', image: id(period), snapshots: [id(101)], startedAt: new Date('2026-11-21T01:00:00Z') }
    await table.putDeletion(deletion)
    await table.putDeletion(deletion)
    expect((await table.inFlight()).deletions).toEqual([deletion])
    expect(await serversInFlight()).toEqual({ making: [], stopped: [] })
    await table.removeDeletion(deletion)
    await table.removeDeletion(deletion)
    expect((await table.inFlight()).deletions).toEqual([])
  })

  test('a sweep is in flight until it is removed, and takes no slot of an image', async () => {
    const sweep = { cloud: `cloud-${period}`, server: web1, schedule: 'daily/web-1', period: '2026-11-21', runId: 'run-1', imageName: 'Daily-web-1-1', volumes: [id(1)], startedAt: new Date('2026-11-21T01:00:00Z'), refused: false }
    await table.putSweep(sweep)
    expect((await table.inFlight()).sweeps).toEqual([sweep])
    expect(await serversInFlight()).toEqual({ making: [], stopped: [] })
    await table.removeSweep(sweep)
    expect((await table.inFlight()).sweeps).toEqual([])
  })

  test('a restart is in flight until it is removed, and takes no slot of an image', async () => {
    const restart = { cloud: `cloud-${period}`, server: web1, serverName: 'web-1', schedule: 'daily/web-1', period: '2026-11-21', runId: 'run-1', startedAt: new Date('2026-11-21T01:00:00Z'), asked: true }
    await table.putRestart(restart)
    expect((await table.inFlight()).restarts).toEqual([restart])
    expect(await serversInFlight()).toEqual({ making: [], stopped: [web1] })
    await table.putRestart({ ...restart, told: 'Not started.' })
    expect((await table.inFlight()).restarts).toEqual([{ ...restart, told: 'Not started.' }])
    expect(await serversInFlight()).toEqual({ making: [], stopped: [] })
    await table.removeRestart(restart)
    expect((await table.inFlight()).restarts).toEqual([])
  })

  test('more than a hundred runs are read, those that do not exist left out', async () => {
    const runs = Array.from({ length: 230 }, (_, n) => fresh({ server: id(n) }))
    await Promise.all(runs.map((one) => table.claim(one, undefined)))
    const found = await table.get([...runs, ...runs, fresh({ server: id(999) })])
    expect(found.size).toBe(230)
  })

  test('a record that somebody broke is told of and left out, and the others are read', async () => {
    const whole = fresh()
    await table.claim(whole, undefined)
    await tables.putRecord({ server: id(1), run: `p-${period}#daily/web-1`, status: 'perhaps', inFlight: 'x', startedAt: 'x' })
    const { runs } = await table.inFlight()
    expect(runs).toContainEqual(whole)
    expect(tables.unreadable).toMatchObject([[expect.stringContaining('cannot be read'), { server: id(1), run: `p-${period}#daily/web-1` }]])
  })

  test('when a cloud was last pruned', async () => {
    expect(await table.lastPrune('nowhere')).toBeUndefined()
    await table.recordPrune('somewhere', { at: new Date('2026-11-20T01:00:00Z'), project: undefined })
    await table.recordPrune('somewhere', { at: new Date('2026-11-21T01:00:00Z'), project: 'b41c' })
    expect(await table.lastPrune('somewhere')).toEqual({ at: new Date('2026-11-21T01:00:00Z'), project: 'b41c' })
    expect(await table.lastPrune('nowhere')).toBeUndefined()
  })

  test('the history of a server is its runs of all schedules, and nothing that is not finished', async () => {
    const server = id(5000)
    const runs = [
      fresh({ server, period: '2026-11-20', status: 'good' }),
      fresh({ server, period: '2026-11-21', status: 'failed' }),
      fresh({ server, period: '2026-11-21', schedule: 'weekly/web-1', status: 'saving' }),
    ]
    for (const one of [...runs, fresh({ server: web2 })]) await table.claim(one, undefined)
    const unfinished = { cloud: `cloud-${period}`, server, schedule: 'daily/web-1', startedAt: new Date('2026-11-21T01:00:00Z') }
    await table.putDeletion({ ...unfinished, image: id(1), snapshots: [] })
    await table.putRestart({ ...unfinished, serverName: 'web-1', period: '2026-11-21', runId: 'run-1', asked: true })
    expect(await table.history(server)).toEqual(runs)
    expect(await table.history(id(5001))).toEqual([])
  })
})

test('a run is forgotten 35 days after its period, and never while it is in flight', () => {
  const until = new Date('2026-11-22T01:00:00Z')
  expect(runRecord(run({ status: 'good', until }))).toMatchObject({ expiresAt: Date.parse('2026-12-27T01:00:00Z') / 1000 })
  expect(runRecord(run({ status: 'saving', until }))).not.toHaveProperty('expiresAt')
})
