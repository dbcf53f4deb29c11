import { beforeEach, expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, imagesOf, scheduled, stateOf } from '../support/scene.ts'
import { serviceIn, type TestService } from '../support/service.ts'

const fixture = useWorld()
let service: TestService

/** A service whose waiting lets the time of its world pass. */
beforeEach(() => {
  const { world } = fixture
  service = serviceIn(world, {}, {
    sleep: (ms) => {
      world.setClock(new Date(world.clock().getTime() + ms))
      return Promise.resolve()
    },
  })
})

const stopped = { consistency: 'stopped' }
const statusOf = (id: string) => fixture.world.openstack.servers().find((server) => server.id === id)?.status
const actions = () => fixture.world.openstack.requests.flatMap(({ action }) => action ?? [])
const restarts = async () => (await fixture.world.runs()).filter(({ run }) => String(run).startsWith('restart#'))

test.each([['image-backed', {}], ['volume-backed', { volumeBacked: true, dataVolumes: 1 }]])('a running %s server is stopped, snapshotted and started again within one invocation', async (_kind, seed) => {
  const { world } = fixture
  const { id } = await scheduled(world, 'web-1', seed, stopped)
  await service.tickAt(day(1, '00:30:00'))
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 1 })
  expect(actions()).toEqual(['os-stop', 'createImage', 'os-start'])
  expect(statusOf(id)).toBe('ACTIVE')
  expect(await restarts()).toEqual([])
  expect(await service.pruneAt(day(1, '01:15:00'))).toMatchObject({ good: 1 })
  expect(imagesOf(world, id)).toMatchObject([{ properties: { scheduled_images__consistency: 'stopped' }, status: 'active' }])
})

test('a server that was not running is snapshotted as it is, and never started', async () => {
  const { world } = fixture
  const { id } = await scheduled(world, 'web-1', { status: 'SHUTOFF' }, stopped)
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '01:15:00', '01:30:00']) await service.tickAt(day(1, time))
  expect(actions()).toEqual(['createImage'])
  expect(statusOf(id)).toBe('SHUTOFF')
  expect(imagesOf(world, id)).toMatchObject([{ properties: { scheduled_images__consistency: 'stopped' } }])
})

test('a server that a person stopped a moment ago is left stopped', async () => {
  const { world } = fixture
  const { id } = await scheduled(world, 'web-1', {}, stopped)
  await service.tickAt(day(1, '00:30:00'))
  world.openstack.fault({ service: 'compute', method: 'POST', body: /os-stop/, times: 1, then: { status: 409, body: { conflictingRequest: { code: 409, message: `Cannot 'stop' instance ${id} while it is in vm_state stopped` } } } })
  world.openstack.setServer(id, { status: 'ACTIVE' })
  await service.snapshotAt('daily', day(1))
  world.openstack.setServer(id, { status: 'SHUTOFF' })
  expect(await restarts()).toEqual([])
  for (const time of ['01:15:00', '01:30:00']) await service.tickAt(day(1, time))
  expect(actions()).not.toContain('os-start')
  expect(statusOf(id)).toBe('SHUTOFF')
  expect(imagesOf(world, id)).toHaveLength(1)
})

test.each([['PAUSED'], ['SUSPENDED']])('a %s server cannot be stopped, and its item says so', async (status) => {
  const { world } = fixture
  await scheduled(world, 'web-1', { status }, stopped)
  await service.tickAt(day(1, '00:30:00'))
  await service.tickAt(day(1))
  expect(actions()).toEqual([])
  expect((await stateOf(world, 'web-1'))['problem']).toBe(`Server "web-1" is in state ${status}, from which it cannot be stopped; consistency "stopped" needs it ACTIVE or SHUTOFF.`)
})

test('a server whose image is refused is started again at once', async () => {
  const { world } = fixture
  world.openstack.setQuotas(world.project, { imageQuota: 0 })
  const { id } = await scheduled(world, 'web-1', {}, stopped)
  await service.tickAt(day(1, '00:30:00'))
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ failed: 1 })
  expect(statusOf(id)).toBe('ACTIVE')
  expect(await restarts()).toEqual([])
})

test.each([['os-stop', 'lose-answer'], ['createImage', 'lose-answer'], ['os-start', 'lose-answer'], ['os-start', 'reset']] as const)(
  'when the answer of %s is lost (%s), the server runs again in the end, and has one good image',
  async (action, then) => {
    const { world } = fixture
    const { id } = await scheduled(world, 'web-1', {}, stopped)
    await service.tickAt(day(1, '00:30:00'))
    world.openstack.fault({ service: 'compute', method: 'POST', body: new RegExp(action), times: 1, then })
    for (let minute = 0; minute < 240; minute += 15) await service.tickAt(new Date(Date.parse(day(1)) + minute * 60_000).toISOString())
    expect(statusOf(id)).toBe('ACTIVE')
    expect(await restarts()).toEqual([])
    expect(imagesOf(world, id).filter(({ tags }) => tags.includes('scheduled-images'))).toHaveLength(1)
  },
)

test('a server that cannot be started again is told of at each tick in the log, once by event, and started when that is possible', async () => {
  const { world } = fixture
  const { id } = await scheduled(world, 'web-1', {}, stopped)
  await service.tickAt(day(1, '00:30:00'))
  const locked = world.openstack.fault({ service: 'compute', method: 'POST', body: /os-start/, then: { status: 409, body: { conflictingRequest: { code: 409, message: `Instance ${id} is locked` } } } })
  for (const time of ['01:00:00', '01:15:00', '01:30:00']) await service.tickAt(day(1, time))
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(/^Server "web-1" was stopped for its image and cannot be started again: .*start it by hand/)
  expect(world.aws.events.filter(({ detail }) => (detail as { reason?: { code: string } }).reason?.code === 'SERVER_NOT_STARTED')).toHaveLength(1)
  locked()
  for (const time of ['01:45:00', '02:00:00', '02:15:00']) await service.tickAt(day(1, time))
  expect(statusOf(id)).toBe('ACTIVE')
  expect(await restarts()).toEqual([])
})

test('a guest that does not stop in time has no image made of it, and is started again when it has stopped', async () => {
  const { world } = fixture
  const { id } = await scheduled(world, 'web-1', {}, stopped)
  await service.tickAt(day(1, '00:30:00'))
  const hung = world.openstack.fault({ service: 'compute', method: 'POST', body: /os-stop/, then: { status: 202, body: '' } })
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ failed: 1 })
  expect((await stateOf(world, 'web-1'))['problem']).toBe('Server "web-1" was asked to stop and did not in time; no image of it was made.')
  hung()
  world.openstack.setServer(id, { status: 'SHUTOFF' })
  await service.pruneAt(day(1, '01:14:00'))
  expect(actions().at(-1)).toBe('os-start')
})

test('no server is stopped while too little time is left to see it running again', async () => {
  const { world } = fixture
  await scheduled(world, 'web-1', {}, stopped)
  await service.tickAt(day(1, '00:30:00'))
  world.setClock(day(1))
  expect(await service.snapshot('daily', { now: new Date(day(1)), timeLeftMs: () => 200_000 })).toMatchObject({ waiting: 1 })
  expect(actions()).toEqual([])
})

test('a dry run stops nothing', async () => {
  const { world } = fixture
  await scheduled(world, 'web-1', {}, { ...stopped, onEnable: 'now' })
  const dry = serviceIn(world, { DRY_RUN: 'true' })
  expect(await dry.snapshotAt('daily', day(1))).toMatchObject({ planned: 1 })
  expect(actions()).toEqual([])
  expect(dry.lines.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^dry run: would start Daily-web-1-\d+, with the server stopped$/))
})
