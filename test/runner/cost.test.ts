import { expect, test } from 'vitest'
import type { World } from '../../demo/world.ts'
import { useWorld } from '../support/fixture.ts'
import { day, enable, runDays, scheduled } from '../support/scene.ts'

const fixture = useWorld({ snapshotSeconds: { saving: 1, active: 2, idle: 3 } })

/** Requests since a mark, as `<method> <resource>` with their number. */
function counted({ openstack }: World, since: number): Record<string, number> {
  const resource = (path: string) => path.replace(/\?.*/, '').replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID').replace(/^\/v\d[.\d]*/, '').replace(/^\/[0-9a-f]{32}(?=\/)/, '')
  const groups = Map.groupBy(openstack.requests.slice(since), ({ method, path }) => `${method} ${resource(path)}`)
  return Object.fromEntries([...groups].map(([name, requests]) => [name, requests.length]))
}

async function allowInFlight(world: World, max: number): Promise<void> {
  const [[name, text]] = [...world.aws.parameters] as [[string, string]]
  world.aws.parameters.set(name, JSON.stringify({ ...(JSON.parse(text) as object), max_in_flight: max, max_in_flight_per_host: max }))
}

test('a tick with nothing due and nothing in flight makes no call to OpenStack', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await scheduled(world, 'by-name', {}, { server: 'by-name' })
  await world.putSchedule({ cadence: 'weekly', schedule: 'web-2', server: 'by-name', retention: 1, dayOfWeek: 'friday' })
  await enable(service)
  expect(world.openstack.requests).toEqual([])

  await runDays(service, 1, 1)
  const since = world.openstack.requests.length
  for (let hour = 2; hour < 24; hour += 1) await service.tickAt(day(1, `${String(hour).padStart(2, '0')}:00:00`))
  expect(counted(world, since)).toEqual({})
})

test('100 servers due in one cloud cost 1 token, 1 listing and 100 POSTs; settling them 1 listing and what sealing needs', async () => {
  const { world, service } = fixture
  await allowInFlight(world, 100)
  for (let n = 0; n < 100; n += 1) await scheduled(world, `web-${n}`)
  await enable(service)

  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 100 })
  expect(counted(world, 0)).toEqual({ 'POST /auth/tokens': 1, 'GET /servers/detail': 1, 'POST /servers/ID/action': 100 })

  const since = world.openstack.requests.length
  expect(await service.pruneAt(day(1, '01:15:00'))).toMatchObject({ good: 100 })
  expect(counted(world, since)).toEqual({ 'GET /images': 1, 'PATCH /images/ID': 100, 'GET /images/ID': 100 })
}, 60_000)

test('images are settled by one listing, however many there are, and once a day without a run', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1', {}, { retention: 50 })
  await enable(service)
  await runDays(service, 1, 3)
  await world.editSchedule('daily', 'web-1', { enabled: false })
  await scheduled(world, 'idle', {}, { cadence: 'weekly', dayOfWeek: 'saturday' })
  await service.tickAt(day(3, '02:00:00'))
  const since = world.openstack.requests.length
  for (let n = 4; n <= 6; n += 1) for (const time of ['01:00:00', '05:00:00', '21:00:00']) await service.tickAt(day(n, time))
  expect(counted(world, since)['GET /images']).toBe(3)
})

test('no more images are being made at once than max_in_flight, and the stalest server comes first', async () => {
  const { world, service } = fixture
  await allowInFlight(world, 2)
  const names = ['web-1', 'web-2', 'web-3', 'web-4']
  for (const name of names) await scheduled(world, name)
  await enable(service)
  await service.snapshotAt('daily', day(1))
  await service.pruneAt(day(1, '01:15:00'))
  const first = world.openstack.images().filter(({ name }) => name?.startsWith('Daily')).map(({ name }) => name!.slice(0, 11))
  expect(first).toHaveLength(2)

  // On the next day nobody has waited longer than the two that had no turn.
  expect(await service.snapshotAt('daily', day(2))).toMatchObject({ started: 2, waiting: 2 })
  const second = world.openstack.images().filter(({ name }) => name?.startsWith('Daily')).map(({ name }) => name!.slice(0, 11)).slice(2)
  expect([...first, ...second].toSorted()).toEqual(names.map((name) => `Daily-${name}`))
})

test('of servers on one compute host no more images are being made at once than max_in_flight_per_host', async () => {
  const { world, service } = fixture
  for (let n = 1; n <= 7; n += 1) await scheduled(world, `web-${n}`, { host: 'compute-1' })
  await scheduled(world, 'web-8', { host: 'compute-2' })
  await enable(service)
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 6, waiting: 2 })
  expect(service.lines.filter(({ message }) => message.startsWith('waiting: ')).map(({ message }) => message)).toEqual(
    Array(2).fill('waiting: as many images of servers on its compute host are being made as max_in_flight_per_host allows (5)'),
  )
  await service.pruneAt(day(1, '01:15:00'))
  expect(await service.snapshotAt('daily', day(1, '01:15:00'))).toMatchObject({ started: 2 })
})

test('nothing is started when less than 30 seconds are left, and the next tick goes on', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  world.setClock(day(1))
  expect(await service.snapshot('daily', { now: new Date(day(1)), timeLeftMs: () => 29_000 })).toMatchObject({ started: 0, waiting: 1 })
  expect(await service.snapshotAt('daily', day(1, '01:15:00'))).toMatchObject({ started: 1 })
})
