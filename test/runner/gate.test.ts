import { expect, test, vi } from 'vitest'
import { planRetention, type RetentionPlan } from '../../lib/planner/retention.ts'
import { useWorld } from '../support/fixture.ts'
import { addCloud, day, enable, imagesOf, runDays, scheduled } from '../support/scene.ts'
import { serviceIn } from '../support/service.ts'
import { shardingIn, tickInShards } from '../support/shards.ts'

// The planner itself, whose faults the gate is there for, can be broken here.
vi.mock(import('../../lib/planner/retention.ts'), async (original) => ({ planRetention: vi.fn((await original()).planRetention) }))

const fixture = useWorld()

const periodsOf = (server: string) => imagesOf(fixture.world, server).map(({ properties }) => properties['scheduled_images__period']?.slice(-2))

/** Keeps the oldest images instead of the newest, in the cloud `default`. */
async function breakPlanner(): Promise<void> {
  const { planRetention: honest } = await vi.importActual<{ planRetention: typeof planRetention }>('../../lib/planner/retention.ts')
  vi.mocked(planRetention).mockImplementation((...given) =>
    honest(...given).map((plan): RetentionPlan => {
      if (plan.cloud !== 'default' || plan.remove.length === 0) return plan
      const [newest] = plan.keep
      return { ...plan, remove: [...plan.remove, { image: newest!.image, reason: 'of a mistake', snapshots: [] }] }
    }))
}

test('a plan that would delete the newest image is refused whole and told of, and other clouds go on', async () => {
  const { world, service } = fixture
  const other = addCloud(world, 'other')
  const web = await scheduled(world, 'web-1', {}, { retention: 1 })
  const calm = await scheduled(world, 'calm', {}, { retention: 3 })
  const elsewhere = world.openstack.addServer(other, { name: 'elsewhere' })
  await world.putSchedule({ cadence: 'daily', schedule: 'elsewhere', server: elsewhere.id, retention: 1, spread: 0, cloud: 'other' })
  await enable(service)
  await runDays(service, 1, 1)
  await breakPlanner()
  await service.tickAt(day(2))
  expect(await service.pruneAt(day(2, '01:15:00'))).toMatchObject({ refused: 1, deleted: 1, good: 3 })

  expect([periodsOf(web.id), periodsOf(calm.id), periodsOf(elsewhere.id)]).toEqual([['01', '02'], ['01', '02'], ['02']])
  const newest = imagesOf(world, web.id)[1]!
  const message = `The plan to delete images of cloud "default" breaks the laws of ownership or retention, so none is deleted. Image ${imagesOf(world, web.id)[0]!.id} of server ${web.id} and schedule daily/web-1 has fewer than 1 newer good images that stay.`
  expect(service.lines.filter(({ level }) => level === 'error')).toMatchObject([
    { message: `refused: ${message}`, cloud: 'default', code: 'PLAN_REFUSED', broken: [expect.any(String), expect.stringContaining(newest.id)], count: 2 },
  ])
  expect(world.aws.events.filter(({ type }) => type === 'Scheduled Images Refused').map(({ detail }) => detail)).toEqual([
    { version: 1, cloud: 'default', reason: { code: 'PLAN_REFUSED', message } },
  ])
  expect(service.metrics).toMatchObject({ PlansRefused: [1] })

  vi.mocked(planRetention).mockReset()
  await runDays(service, 3, 3)
  expect([periodsOf(web.id), periodsOf(elsewhere.id)]).toEqual([['03'], ['03']])
})

/** A server with images of six days, of which five are beyond retention at the next good one. */
async function fiveInExcess(): Promise<string> {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 10 })
  await enable(service)
  await runDays(service, 1, 5)
  await world.editSchedule('daily', 'web-1', { retention: 1 })
  await service.snapshotAt('daily', day(6))
  return id
}

test('no more images of a cloud are deleted at once than MAX_DELETES, oldest first, and the next ticks go on', async () => {
  const server = await fiveInExcess()
  const capped = serviceIn(fixture.world, { MAX_DELETES: '2' })
  expect(await capped.pruneAt(day(6, '01:15:00'))).toMatchObject({ deleted: 2, capped: 3 })
  expect(periodsOf(server)).toEqual(['03', '04', '05', '06'])
  expect(capped.lines.filter(({ level }) => level === 'warn')).toMatchObject([
    { message: '3 images beyond retention are left for the next tick: MAX_DELETES allows 2 deletions in one cloud and invocation', cloud: 'default' },
  ])
  expect(capped.metrics).toMatchObject({ DeletionsCapped: [3] })
  expect(await capped.pruneAt(day(6, '01:30:00'))).toMatchObject({ deleted: 2, capped: 1 })
  expect(await capped.pruneAt(day(6, '01:45:00'))).toMatchObject({ deleted: 1, capped: 0 })
  expect(await capped.pruneAt(day(6, '02:00:00'))).toMatchObject({ clouds: 0, deleted: 0 })
  expect(periodsOf(server)).toEqual(['06'])
  expect(capped.metrics).toMatchObject({ DeletionsCapped: [3, 1] })
})

test('MAX_DELETES counts for all servers of a cloud together', async () => {
  const { world, service } = fixture
  for (const name of ['a', 'b', 'c']) await scheduled(world, name, {}, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  await service.snapshotAt('daily', day(2))
  expect(await serviceIn(world, { MAX_DELETES: '1' }).pruneAt(day(2, '01:15:00'))).toMatchObject({ deleted: 1, capped: 2 })
})

test('MAX_DELETES=0 deletes nothing, and looks again the next day', async () => {
  const server = await fiveInExcess()
  const none = serviceIn(fixture.world, { MAX_DELETES: '0' })
  expect(await none.pruneAt(day(6, '01:15:00'))).toMatchObject({ deleted: 0, capped: 5 })
  expect(await none.pruneAt(day(6, '01:30:00'))).toMatchObject({ deleted: 0, clouds: 0 })
  expect(await none.pruneAt(day(7, '01:15:00'))).toMatchObject({ deleted: 0, capped: 5 })
  expect(periodsOf(server)).toEqual(['01', '02', '03', '04', '05', '06'])
})

test('MAX_DELETES=0 leaves what a failed attempt left behind until it may be deleted', async () => {
  const { world, service } = fixture
  const { id, volumeIds } = await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_fail: 'snapshot' } })
  await service.snapshotAt('daily', day(1))
  const none = serviceIn(world, { MAX_DELETES: '0' })
  for (const time of ['01:15:00', '01:30:00']) await none.pruneAt(day(1, time))
  expect([imagesOf(world, id).length, world.openstack.snapshots().length]).toEqual([1, 1])
  for (const time of ['01:45:00', '02:00:00', '02:15:00']) await service.pruneAt(day(1, time))
  expect([imagesOf(world, id).length, world.openstack.snapshots().length]).toEqual([0, 0])
  expect((await world.runs()).filter(({ inFlight }) => inFlight)).toEqual([])
})

/** Work of every kind: what is in excess, in flight, due, lost, forgotten, left behind, and half deleted. */
async function everythingToDo(): Promise<void> {
  const { world, service } = fixture
  const { openstack } = world
  const poor = addCloud(world, 'poor', { imageQuota: 0 })
  const swept = openstack.addServer(poor, { name: 'swept', volumeBacked: true })
  await world.putSchedule({ cadence: 'daily', schedule: 'swept', server: swept.id, retention: 1, spread: 0, cloud: 'poor' })
  await scheduled(world, 'excess', {}, { retention: 5 })
  await scheduled(world, 'forgotten')
  const halfDeleted = await scheduled(world, 'half-deleted', { volumeBacked: true }, { retention: 1 })
  const broken = await scheduled(world, 'broken', { volumeBacked: true })
  const lost = await scheduled(world, 'lost')
  await scheduled(world, 'by-name', {}, { server: 'by-name' })
  await scheduled(world, 'weekly', {}, { cadence: 'weekly', dayOfWeek: 'sunday' })
  await scheduled(world, 'disabled', {}, { enabled: false })
  await enable(service)
  await runDays(service, 1, 2)
  openstack.setVolume(halfDeleted.volumeIds[0]!, { metadata: { lab_fail: 'delete_snapshot' } })
  await runDays(service, 3, 3)
  openstack.setVolume(broken.volumeIds[0]!, { metadata: { lab_fail: 'snapshot' } })
  openstack.fault({ service: 'compute', method: 'POST', path: new RegExp(lost.id), body: /createImage/, times: 1, then: 'lose-answer' })
  await service.snapshotAt('daily', day(4))
  await world.restoreRuns((await world.runs()).filter(({ run }) => run !== '2026-11-04#daily/forgotten'))
  await world.editSchedule('daily', 'excess', { retention: 1 })
  await world.putSchedule({ cadence: 'daily', schedule: 'invalid', retention: 0 })
  await scheduled(world, 'new', {}, { onEnable: 'now' })
  addCloud(world, 'never-pruned')
  await scheduled(world, 'never-pruned', {}, { cloud: 'never-pruned' })
}

/** Both tables, each record by its key. */
async function tables(): Promise<Map<string, unknown>> {
  const { world } = fixture
  const records = [...(await world.runs()), ...(await world.schedules())]
  return new Map(records.map((record) => [[record['server'], record['run'], record['cadence'], record['schedule']].join(' '), record]))
}

test('a dry run sends no write to OpenStack, writes into neither table and sends no event, whatever there is to do', async () => {
  await everythingToDo()
  const { world } = fixture
  const { openstack, aws } = world
  const before = { tables: await tables(), requests: openstack.requests.length, events: aws.events.length }
  const kinds = [...before.tables.keys()].map((key) => / (deletion|sweep)#/.exec(key)?.[1]).filter((kind) => kind !== undefined)
  expect(new Set(kinds)).toEqual(new Set(['deletion', 'sweep']))

  const dry = serviceIn(world, { DRY_RUN: 'true', MAX_DELETES: '1' })
  expect(await dry.snapshotAt('daily', day(4, '02:00:00'))).toMatchObject({ recovered: 1, planned: 2, started: 0, invalid: 1, faults: 0 })
  expect(await dry.snapshotAt('weekly', day(8))).toMatchObject({ planned: 1, started: 0, faults: 0 })
  expect(await dry.pruneAt(day(4, '02:00:00'))).toMatchObject({ planned: 1, deleted: 0, good: 0, failed: 0, refused: 0, faults: 0 })
  expect(await dry.pruneAt(day(5, '02:00:00'))).toMatchObject({ planned: 1, deleted: 0, good: 0, failed: 0, refused: 0, faults: 0 })

  const requests = openstack.requests.slice(before.requests)
  expect(requests.length).toBeGreaterThan(0)
  expect(requests.filter(({ method, path }) => method !== 'GET' && path !== '/v3/auth/tokens')).toEqual([])
  expect(await tables()).toEqual(before.tables)
  expect(aws.events).toHaveLength(before.events)
})

test('in shards too, a plan that breaks a law is refused whole, whichever servers it breaks it for', async () => {
  const { world } = fixture
  const service = shardingIn(world)
  const servers: string[] = []
  for (let n = 1; n <= 6; n += 1) servers.push((await scheduled(world, `web-${n}`, {}, { retention: 1 })).id)
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '01:15:00', '01:30:00']) await tickInShards(world, service, day(1, time))
  const { planRetention: honest } = await vi.importActual<{ planRetention: typeof planRetention }>('../../lib/planner/retention.ts')
  vi.mocked(planRetention).mockImplementation((...given) =>
    honest(...given).map((plan): RetentionPlan => (plan.server === servers[0] ? { ...plan, remove: [{ image: plan.keep[0]!.image, reason: 'of a mistake', snapshots: [] }] } : plan)))
  for (const time of ['01:00:00', '01:15:00', '01:30:00']) await tickInShards(world, service, day(2, time))
  expect(servers.map(periodsOf)).toEqual(servers.map(() => ['01', '02']))
  expect(service.metrics['PlansRefused']!.length).toBeGreaterThanOrEqual(2)

  vi.mocked(planRetention).mockReset()
  await tickInShards(world, service, day(3, '01:45:00'))
  await tickInShards(world, service, day(3, '02:00:00'))
  expect(servers.map(periodsOf)).toEqual(servers.map(() => ['03']))
})
