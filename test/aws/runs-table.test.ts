import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startAws, type LocalAws } from '../../demo/aws/services.ts'
import { createTables } from '../../demo/aws/tables.ts'
import { RunsTable } from '../../lib/aws/runs-table.ts'
import { runKeyText, type Run } from '../../lib/model/run.ts'
import { id, run, web1 } from '../support/builders.ts'

let aws: LocalAws
let documents: DynamoDBDocumentClient
let table: RunsTable
let unreadable: unknown[]
let period = 0

beforeAll(async () => {
  aws = await startAws()
  Object.assign(process.env, aws.env)
  const client = new DynamoDBClient({})
  documents = DynamoDBDocumentClient.from(client)
  await createTables(client, { schedules: 'schedules', runs: 'runs' })
})
afterAll(() => aws.close())
beforeEach(() => {
  unreadable = []
  period += 1
  table = new RunsTable('runs', documents, randomUUID, (...told) => unreadable.push(told))
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
  expect((await Promise.all(claims)).filter(Boolean)).toHaveLength(1)
})

test('a failed run is claimed anew by whoever saw it last, once', async () => {
  const failed = fresh({ status: 'failed', retryAt: new Date('2026-11-21T02:00:00Z') })
  await table.claim(failed, undefined)
  const claims = ['a', 'b'].map((runId) => table.claim(fresh({ runId, attempt: 2 }), failed))
  expect((await Promise.all(claims)).toSorted()).toEqual([false, true])
  expect(await table.claim(fresh({ runId: 'c', attempt: 2 }), failed)).toBe(false)
})

test('a run advances only from what it was seen to be', async () => {
  const starting = fresh()
  await table.claim(starting, undefined)
  const saving: Run = { ...starting, status: 'saving' }
  expect(await table.advance(starting, saving)).toBe(true)
  expect(await table.advance(starting, { ...starting, status: 'failed' })).toBe(false)
  expect((await table.get([starting])).get(runKeyText(starting))?.status).toBe('saving')
})

test('a claim whose answer was lost on the way is known as our own when the SDK repeats it', async () => {
  const claimed = fresh()
  const send = documents.send.bind(documents)
  let lost = false
  // The write is done, and the SDK sends it again, as it does after a connection that broke.
  documents.send = (async (command: never) => {
    if (!lost && (command as object) instanceof PutCommand) {
      lost = true
      await send(command)
    }
    return send(command)
  }) as typeof documents.send
  try {
    expect(await table.claim(claimed, undefined)).toBe(true)
  } finally {
    documents.send = send
  }
  expect(lost).toBe(true)
})

test('the index holds what is in flight, and forgets it when it is settled', async () => {
  const mine = (runs: readonly Run[]) => runs.filter(({ cloud }) => cloud === `cloud-${period}`)
  const starting = fresh()
  await table.claim(starting, undefined)
  expect(mine((await table.inFlight()).runs)).toEqual([starting])
  expect((await table.inFlight(`cloud-${period}`)).runs).toEqual([starting])
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
  expect((await table.inFlight()).deletions).toEqual([deletion])
  expect(await serversInFlight()).toEqual({ making: [], stopped: [] })
  await table.removeDeletion(deletion)
  expect((await table.inFlight()).deletions).toEqual([])
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
  await documents.send(new PutCommand({ TableName: 'runs', Item: { server: id(1), run: `p-${period}#daily/web-1`, status: 'perhaps', inFlight: 'x', startedAt: 'x' } }))
  const { runs } = await table.inFlight()
  expect(runs).toContainEqual(whole)
  expect(unreadable).toMatchObject([[expect.stringContaining('cannot be read'), { server: id(1), run: `p-${period}#daily/web-1` }]])
})

test('when a cloud was last pruned', async () => {
  expect(await table.lastPrune('nowhere')).toBeUndefined()
  await table.recordPrune('somewhere', new Date('2026-11-21T01:00:00Z'))
  expect(await table.lastPrune('somewhere')).toEqual(new Date('2026-11-21T01:00:00Z'))
})
