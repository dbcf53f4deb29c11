import { expect, test } from 'vitest'
import type { Cloud, Ports, Tick } from '../../lib/runner/ports.ts'
import { prune } from '../../lib/runner/prune.ts'
import { snapshot } from '../../lib/runner/snapshot.ts'
import { id, image, project, run, schedule, server } from '../support/builders.ts'

const tick: Tick = { now: new Date('2026-11-21T01:00:00Z'), timeLeftMs: () => 300_000 }
const servers = [1, 2, 3].map((n) => server({ id: id(n), name: `web-${n}` }))
const schedules = servers.map(({ id, name }) => ({ valid: true as const, schedule: schedule({ server: id, schedule: name, state: { since: '2026-01-01T00:00:00Z' } }) }))
const broken = () => Promise.reject(new Error('ProvisionedThroughputExceededException'))

/** Tables that work but for what is given, and a cloud that says yes to everything. */
function ports(runs: Partial<Ports['runs']>): { ports: Ports; asked: string[] } {
  const asked: string[] = []
  const never = () => Promise.reject(new Error('nobody should ask'))
  const cloud: Cloud = {
    project,
    maxInFlight: 10,
    maxInFlightPerHost: 10,
    compute: {
      listServers: () => Promise.resolve(servers),
      getServer: never,
      createImage: (of) => {
        asked.push(of)
        return Promise.resolve({ image: id(9), requestId: undefined })
      },
      stopServer: never,
      startServer: never,
    },
    image: {
      listImages: () => Promise.resolve(servers.map(({ id: of }, n) => image({ id: id(11 + n), properties: { instance_uuid: of } }))),
      getImage: (of) => Promise.resolve(image({ id: of, properties: { instance_uuid: servers[Number(of.slice(-1)) - 1]!.id, scheduled_images__image: of } })),
      addMarks: () => Promise.resolve(),
      setVisibility: never,
      addMember: never,
      removeMember: never,
      deleteImage: never,
    },
    blockStorage: { listSnapshots: never, getVolume: never, hasSnapshot: never, deleteSnapshot: never },
  }
  const table: Ports['runs'] = {
    get: () => Promise.resolve(new Map()),
    claim: () => Promise.resolve(true),
    advance: () => Promise.resolve(true),
    serversInFlight: () => Promise.resolve({ making: [], stopped: [] }),
    inFlight: () => Promise.resolve({ runs: servers.map(({ id: of }, n) => run({ server: of, image: id(11 + n) })), deletions: [], sweeps: [], restarts: [] }),
    putDeletion: never,
    removeDeletion: never,
    putSweep: never,
    removeSweep: never,
    putRestart: never,
    removeRestart: never,
    lastPrune: () => Promise.resolve({ at: tick.now, project: undefined }),
    recordPrune: () => Promise.resolve(),
    ...runs,
  }
  const silent = () => {}
  return {
    asked,
    ports: {
      schedules: { query: (cadence) => Promise.resolve(cadence === 'daily' ? schedules : []), writeState: () => Promise.resolve() },
      runs: table,
      clouds: { open: () => Promise.resolve(cloud) },
      events: { publish: silent },
      metrics: { record: silent },
      log: { debug: silent, info: silent, warn: silent, error: silent },
      clock: () => tick.now,
      newId: () => 'run-1',
      sleep: () => Promise.resolve(),
      dryRun: false, maxDeletes: 100,
    },
  }
}

test('a claim that cannot be written is a fault, no image is asked for without it, and the others go on', async () => {
  const { ports: some, asked } = ports({ claim: (claimed) => (claimed.server === id(2) ? broken() : Promise.resolve(true)) })
  expect(await snapshot('daily', tick, some)).toMatchObject({ started: 2, faults: 1 })
  expect(asked).toEqual([id(1), id(3)])
})

test('a run that cannot be recorded as good is a fault, and the others are settled', async () => {
  const { ports: some } = ports({ advance: (before) => (before.server === id(2) ? broken() : Promise.resolve(true)) })
  expect(await prune(tick, some)).toMatchObject({ good: 2, faults: 1 })
})

test('a runs table that cannot be read at all ends the function in error', async () => {
  await expect(snapshot('daily', tick, ports({ get: broken }).ports)).rejects.toThrow('ProvisionedThroughput')
  await expect(prune(tick, ports({ inFlight: broken }).ports)).rejects.toThrow('ProvisionedThroughput')
})
