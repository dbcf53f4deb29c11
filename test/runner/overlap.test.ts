import { expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, scheduled } from '../support/scene.ts'
import { serviceIn } from '../support/service.ts'

const fixture = useWorld()

async function fiveServers() {
  const { world, service } = fixture
  const servers = []
  for (const n of [1, 2, 3, 4, 5]) servers.push(await scheduled(world, `web-${n}`, { volumeBacked: n > 3 }))
  await enable(service)
  return servers
}

test('the same event delivered twice makes one image for each server and period', async () => {
  const { world, service } = fixture
  const servers = await fiveServers()
  await service.snapshotAt('daily', day(1))
  const again = await service.snapshotAt('daily', day(1))
  expect(again).toMatchObject({ notDue: 5, started: 0 })
  expect(servers.map(({ id }) => imagesOf(world, id).length)).toEqual([1, 1, 1, 1, 1])
})

test('case 26: invocations at once make one image for each server and period', async () => {
  const { world, service } = fixture
  const servers = await fiveServers()
  const others = [serviceIn(world), serviceIn(world), serviceIn(world)]
  const summaries = await Promise.all([service, ...others].map((each) => each.snapshotAt('daily', day(1))))
  expect(summaries.reduce((sum, { started }) => sum + started, 0)).toBe(5)
  expect(servers.map(({ id }) => imagesOf(world, id).length)).toEqual([1, 1, 1, 1, 1])
  expect(world.openstack.snapshots()).toHaveLength(2)
})

test('two schedules of one server that are due at once are served one after the other', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await world.putSchedule({ cadence: 'daily', schedule: 'again', server: id, retention: 1, spread: 0 })
  await enable(service)
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 1, waiting: 1, failed: 0, busy: 0 })
  expect(await service.snapshotAt('daily', day(1, '01:15:00'))).toMatchObject({ started: 0, waiting: 1 })
  await service.pruneAt(day(1, '01:15:00'))
  expect(await service.snapshotAt('daily', day(1, '01:30:00'))).toMatchObject({ started: 1 })
})

test('two prunes at once settle each run once', async () => {
  const { world, service } = fixture
  const servers = await fiveServers()
  await service.snapshotAt('daily', day(1))
  const other = serviceIn(world)
  const summaries = await Promise.all([service, other].map((each) => each.pruneAt(day(1, '01:15:00'))))
  expect(summaries.reduce((sum, { good }) => sum + good, 0)).toBe(5)
  expect(world.aws.events.filter(({ type }) => type === 'Scheduled Image Good')).toHaveLength(5)
  for (const { id } of servers) expect(imagesOf(world, id)).toMatchObject([{ tags: ['scheduled-images'] }])
})

test('a replay of an event of yesterday starts nothing anew', async () => {
  const { world, service } = fixture
  const servers = await fiveServers()
  for (const n of [1, 2]) {
    await service.tickAt(day(n))
    await service.tickAt(day(n, '01:15:00'))
  }
  const summary = await service.snapshotAt('daily', day(1, '01:15:00'))
  expect(summary).toMatchObject({ notDue: 5, started: 0 })
  expect(servers.map(({ id }) => imagesOf(world, id).length)).toEqual([2, 2, 2, 2, 2])
})
