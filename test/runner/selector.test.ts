import { expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, imagesOf, stateOf } from '../support/scene.ts'

const fixture = useWorld()

const requestsOf = (service: string) => fixture.world.openstack.requests.filter((request) => request.service === service).length

async function selected(selector: Record<string, unknown>, item: Record<string, unknown> = {}) {
  await fixture.world.putSchedule({ cadence: 'daily', schedule: 'fleet', selector, retention: 2, spread: 0, ...item })
}

const add = (name: string, seed: Partial<Parameters<typeof fixture.world.openstack.addServer>[1]> = {}) => fixture.world.openstack.addServer(fixture.world.project, { name, ...seed })

test('each server that a selector matches has its own images and its own retention; new servers are picked up, and vanished ones stop', async () => {
  const { world, service } = fixture
  const [web1, web2] = [add('web-1', { tags: ['nightly'] }), add('web-2', { tags: ['nightly', 'spare'] })]
  const other = add('db-1', { tags: ['weekly'] })
  await selected({ tags: ['nightly'] })
  await service.tickAt(day(1, '00:30:00'))
  for (const n of [1, 2, 3]) for (const time of ['01:00:00', '01:15:00', '01:30:00']) await service.tickAt(day(n, time))
  for (const { id } of [web1, web2]) expect(imagesOf(world, id).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-02', '2026-11-03'])
  expect(imagesOf(world, other.id)).toEqual([])

  world.openstack.remove(web2.id)
  const web3 = add('web-3', { tags: ['nightly'] })
  for (const n of [4, 5]) for (const time of ['01:00:00', '01:15:00', '01:30:00']) await service.tickAt(day(n, time))
  expect(imagesOf(world, web3.id).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-04', '2026-11-05'])
  expect(imagesOf(world, web2.id).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-02', '2026-11-03'])
  expect(await stateOf(world, 'fleet')).toMatchObject({ lastGood: { period: '2026-11-05' }, next: '2026-11-06T01:00:00.000Z' })
  expect(await stateOf(world, 'fleet')).not.toHaveProperty('problem')
})

test('outside the hours around its turns a selector asks nothing of OpenStack', async () => {
  const { service } = fixture
  add('web-1', { metadata: { backup: 'yes' } })
  await selected({ metadata: { backup: 'yes' } })
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '01:15:00']) await service.tickAt(day(1, time))
  for (const time of ['01:30:00', '01:45:00', '02:00:00']) await service.tickAt(day(1, time))
  const before = fixture.world.openstack.requests.length
  for (const time of ['02:15:00', '08:00:00', '23:45:00']) await service.tickAt(day(1, time))
  expect(fixture.world.openstack.requests.slice(before).filter(({ service: of }) => of === 'compute')).toEqual([])
})

test('a hundred servers of a selector cost one listing, and one write of the state', async () => {
  const { world, service } = fixture
  const name = '/scheduled-images/local/clouds/default'
  world.aws.parameters.set(name, JSON.stringify({ ...(JSON.parse(world.aws.parameters.get(name)!) as object), max_in_flight: 100, max_in_flight_per_host: 100 }))
  for (let n = 0; n < 100; n += 1) add(`web-${n}`)
  await selected({ name: 'web-*' })
  await service.tickAt(day(1, '00:30:00'))
  const before = requestsOf('compute')
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 100 })
  expect(requestsOf('compute') - before).toBe(101)
  expect(await service.pruneAt(day(1, '01:15:00'))).toMatchObject({ good: 100 })
  expect(await stateOf(world, 'fleet')).toMatchObject({ next: '2026-11-02T01:00:00.000Z', lastGood: { period: '2026-11-01' } })
}, 60_000)

test('servers that wait for a slot are not forgotten, however long it takes', async () => {
  const { world, service } = fixture
  const servers = Array.from({ length: 30 }, (_, n) => add(`web-${n}`, { host: 'one', metadata: { lab_delay: '3000' } }))
  await selected({ name: 'web-*' })
  await service.tickAt(day(1, '00:30:00'))
  // Five at once on one host, and each five for an hour.
  for (let minute = 0; minute <= 8 * 60; minute += 15) await service.tickAt(new Date(Date.parse(day(1)) + minute * 60_000).toISOString())
  for (const { id } of servers) expect(imagesOf(world, id)).toHaveLength(1)
  expect(await stateOf(world, 'fleet')).toMatchObject({ next: '2026-11-02T01:00:00.000Z' })
})

test('a server whose attempt failed keeps its place among those that wait for a slot', async () => {
  const { world, service } = fixture
  const name = '/scheduled-images/local/clouds/default'
  world.aws.parameters.set(name, JSON.stringify({ ...(JSON.parse(world.aws.parameters.get(name)!) as object), max_in_flight: 1 }))
  for (const server of ['web-1', 'web-2', 'web-3']) add(server)
  await selected({ name: 'web-*' }, { retention: 1 })
  await service.tickAt(day(1, '00:30:00'))
  for (let minute = 0; minute < 180; minute += 15) await service.tickAt(new Date(Date.parse(day(1)) + minute * 60_000).toISOString())
  const madeFor = (period: string) => world.openstack.images().filter(({ properties }) => properties['scheduled_images__period'] === period).map(({ properties }) => properties['instance_uuid']!)
  const order = madeFor('2026-11-01')
  const third = order[2]!
  world.openstack.setServer(third, { taskState: 'rebooting' })
  await service.snapshotAt('daily', day(2))
  world.openstack.setServer(third, { taskState: null })
  await service.pruneAt(day(2, '01:00:00'))
  for (let minute = 15; minute < 180; minute += 15) await service.tickAt(new Date(Date.parse(day(2)) + minute * 60_000).toISOString())
  expect(madeFor('2026-11-02')).toEqual(order)
})

test('spread is per server, and next tells of the first one', async () => {
  const { world, service } = fixture
  for (let n = 0; n < 6; n += 1) add(`web-${n}`, { host: `compute-${n}` })
  await selected({ name: 'web-?' }, { spread: 60 })
  await service.tickAt(day(1, '00:30:00'))
  const first = (await stateOf(world, 'fleet'))['next'] as string
  expect(first > day(1, '00:59:59').replace('Z', '.000Z') && first < day(1, '02:00:00')).toBe(true)
  let started = 0
  for (const time of ['01:00:00', '01:15:00', '01:30:00', '01:45:00', '02:00:00']) {
    const summary = await service.snapshotAt('daily', day(1, time))
    started += summary.started
    await service.pruneAt(day(1, time))
  }
  expect(started).toBe(6)
})

test('a selector that matches nothing, or too many, says so, makes nothing and tells of it once', async () => {
  const { world, service } = fixture
  for (let n = 0; n < 3; n += 1) add(`web-${n}`)
  await selected({ name: 'db-*' })
  await world.putSchedule({ cadence: 'daily', schedule: 'wide', selector: { name: '*' }, maxServers: 2, retention: 2, spread: 0 })
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '01:15:00']) await service.tickAt(day(1, time))
  expect(await stateOf(world, 'fleet')).toMatchObject({ problem: expect.stringMatching(/^No server of the project of cloud "default" matches the selector;/) as unknown, next: '2026-11-01T02:15:00.000Z' })
  expect((await stateOf(world, 'wide'))['problem']).toBe('The selector matches 3 servers of cloud "default", more than maxServers allows (2), so no image is made. Narrow it, or raise "maxServers".')
  expect(world.openstack.images().filter(({ name }) => name?.startsWith('Daily'))).toEqual([])
  const told = world.aws.events.filter(({ type }) => type === 'Scheduled Image Failed').map(({ detail }) => (detail as { reason: { code: string } }).reason.code)
  expect(told.toSorted()).toEqual(['SELECTOR_EMPTY', 'SELECTOR_TOO_WIDE'])
})

test('a selector that could not be used is looked at every hour, so that one that is corrected still has its image of the day', async () => {
  const { world, service } = fixture
  const { id } = add('web-1')
  await selected({ name: 'db-*' })
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '02:00:00', '03:00:00', '04:00:00']) await service.tickAt(day(1, time))
  const before = requestsOf('compute')
  for (const time of ['04:15:00', '04:30:00', '04:45:00']) await service.tickAt(day(1, time))
  expect(requestsOf('compute')).toBe(before)
  await world.editSchedule('daily', 'fleet', { selector: { name: 'web-*' } })
  for (const time of ['05:00:00', '05:15:00', '05:30:00']) await service.tickAt(day(1, time))
  expect(imagesOf(world, id)).toMatchObject([{ properties: { scheduled_images__period: '2026-11-01' } }])
  expect(await stateOf(world, 'fleet')).not.toHaveProperty('problem')
})

test('a server in two schedules of one cadence gets an image of each, and a warning', async () => {
  const { world, service } = fixture
  const { id } = add('web-1', { tags: ['nightly'] })
  await selected({ tags: ['nightly'] })
  await world.putSchedule({ cadence: 'daily', schedule: 'web-1', server: id, retention: 2, spread: 0 })
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '01:15:00', '01:30:00', '01:45:00']) await service.tickAt(day(1, time))
  expect(imagesOf(world, id).map(({ properties }) => properties['scheduled_images__schedule']).toSorted()).toEqual(['daily/fleet', 'daily/web-1'])
  expect(service.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toContain('server "web-1" is in 2 schedules of one cadence (daily/fleet, daily/web-1), and each makes its own image of it')
})

test('the trouble of one server is told of by its name, does not stop the others, and goes when the server is well', async () => {
  const { world, service } = fixture
  const [sick, well] = [add('sick', { status: 'RESCUE' }), add('well')]
  await selected({ name: '*' })
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '01:15:00']) await service.tickAt(day(1, time))
  expect(imagesOf(world, well.id)).toHaveLength(1)
  expect((await stateOf(world, 'fleet'))['problem']).toMatch(/^Server "sick": Server "sick" is in state RESCUE/)
  world.openstack.setServer(sick.id, { status: 'ACTIVE' })
  for (let minute = 30; minute < 180; minute += 15) await service.tickAt(new Date(Date.parse(day(1)) + minute * 60_000).toISOString())
  expect(imagesOf(world, sick.id)).toHaveLength(1)
  expect(await stateOf(world, 'fleet')).not.toHaveProperty('problem')
  expect(await stateOf(world, 'fleet')).toMatchObject({ next: '2026-11-02T01:00:00.000Z' })
})

test('the trouble of several servers is told of by their number and the first of them; each is counted and logged by itself', async () => {
  const { world, service } = fixture
  const sick = add('sick', { status: 'RESCUE' })
  add('worse', { status: 'ERROR' })
  add('well')
  await selected({ name: '*' })
  await service.tickAt(day(1, '00:30:00'))
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ schedules: 1, started: 1, failed: 2, notDue: 0 })
  expect((await stateOf(world, 'fleet'))['problem']).toBe(
    '2 of 3 servers have a problem; the first is "worse": Server "worse" is in state ERROR, in which OpenStack makes no image; it has to be ACTIVE, SHUTOFF, PAUSED or SUSPENDED.',
  )
  expect(service.lines).toContainEqual(expect.objectContaining({ level: 'warn', code: 'SERVER_STATE', server: sick.id, serverName: 'sick', schedule: 'daily/fleet' }))
  expect(await stateOf(world, 'fleet')).toMatchObject({ next: '2026-11-01T01:14:00.000Z' })
})

test('a selector whose cloud is away says so and goes on when it is back', async () => {
  const { world, service } = fixture
  const { id } = add('web-1')
  await selected({ name: '*' })
  await service.tickAt(day(1, '00:30:00'))
  const back = world.openstack.fault({ service: 'compute', then: { status: 503 } })
  await service.tickAt(day(1))
  expect((await stateOf(world, 'fleet'))['problem']).toBeDefined()
  back()
  for (const time of ['01:15:00', '01:30:00']) await service.tickAt(day(1, time))
  expect(imagesOf(world, id)).toHaveLength(1)
  expect(await stateOf(world, 'fleet')).not.toHaveProperty('problem')
})

test('when the runs table was emptied, no server of a selector is snapshotted twice in a period', async () => {
  const { world, service } = fixture
  const servers = [add('web-1'), add('web-2'), add('web-3')]
  await selected({ name: 'web-*' }, { onEnable: 'now' })
  for (const time of ['01:00:00', '01:15:00']) await service.tickAt(day(1, time))
  await world.restoreRuns([])
  for (const time of ['01:30:00', '01:45:00', '02:00:00']) await service.tickAt(day(1, time))
  for (const { id } of servers) expect(imagesOf(world, id)).toHaveLength(1)
})

test('a cloud that shows no tags has a selector by tags say so', async () => {
  const { world, service } = fixture
  world.openstack.fault({ service: 'compute', method: 'GET', path: /servers\/detail/, then: { status: 406 }, times: 1 })
  add('web-1', { tags: ['nightly'] })
  await selected({ tags: ['nightly'] }, { onEnable: 'now' })
  await service.snapshotAt('daily', day(1))
  expect((await stateOf(world, 'fleet'))['problem']).toBe('Cloud "default" does not show the tags of its servers, so a selector cannot go by them. Use metadata or name.')
})
