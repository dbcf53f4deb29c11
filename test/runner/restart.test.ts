import { beforeEach, expect, test } from 'vitest'
import { connect } from '../contract/api.ts'
import type { CloudEntry } from '../contract/harness.ts'
import { useWorld } from '../support/fixture.ts'
import { day, imagesOf, scheduled, stateOf } from '../support/scene.ts'
import { serviceIn, type TestService } from '../support/service.ts'

const fixture = useWorld()
let service: TestService

/** Its waiting lets the time of its world pass. */
beforeEach(() => {
  service = serviceIn(fixture.world, {}, { sleep: pass })
})

const stopped = { consistency: 'stopped' }
const volumeBacked = { volumeBacked: true }
const pass = async (ms: number) => fixture.world.setClock(new Date(fixture.world.clock().getTime() + ms))
const acted = () => fixture.world.openstack.requests.filter(({ action }) => action !== undefined)
const actions = () => acted().map(({ action }) => action)
const statusOf = (id: string) => fixture.world.openstack.servers().find((server) => server.id === id)?.status
const restarts = async () => (await fixture.world.runs()).filter(({ run }) => String(run).startsWith('restart#'))
const problem = async (schedule = 'web-1') => (await stateOf(fixture.world, schedule))['problem']
const told = (code: string) => fixture.world.aws.events.filter(({ detail }) => (detail as { reason?: { code: string } }).reason?.code === code)
const ticks = async (...times: string[]) => {
  for (const time of times) await service.tickAt(day(1, time))
}
/** Has each such action refused, as of a locked server. @returns what ends it. */
const refuse = (action: RegExp) =>
  fixture.world.openstack.fault({ service: 'compute', method: 'POST', body: action, then: { status: 409, body: { conflictingRequest: { code: 409, message: 'Instance is locked' } } } })

async function running(seed: Parameters<typeof scheduled>[2] = {}, item: Record<string, unknown> = {}) {
  const server = await scheduled(fixture.world, 'web-1', seed, { ...stopped, ...item })
  await service.tickAt(day(1, '00:30:00'))
  return server
}

/** Invokes snapshotDaily, and holds it at its first waiting after an action. @returns what lets it go on to its end. */
async function holdAfter(action: string, at = day(1)): Promise<() => Promise<unknown>> {
  const asleep = Promise.withResolvers<void>()
  const awake = Promise.withResolvers<void>()
  const held = serviceIn(fixture.world, {}, {
    sleep: async (ms) => {
      if (actions().at(-1) === action) {
        asleep.resolve()
        await awake.promise
      }
      await pass(ms)
    },
  })
  const end = held.snapshotAt('daily', at)
  await asleep.promise
  // Whatever it asked for is done by now.
  await pass(1000)
  return () => {
    awake.resolve()
    return end
  }
}

test('when an invocation dies after it had a server stopped, prune starts it once the lease is over', async () => {
  const { id } = await running()
  await holdAfter('os-stop')
  await service.pruneAt(day(1, '01:05:00'))
  expect(actions()).toEqual(['os-stop'])
  await ticks('01:15:00', '01:30:00')
  expect(actions()).toEqual(['os-stop', 'os-start'])
  await ticks('01:45:00', '02:00:00')
  expect(statusOf(id)).toBe('ACTIVE')
  expect(await restarts()).toEqual([])
  expect(imagesOf(fixture.world, id)).toHaveLength(1)
})

test('when an invocation dies after it asked for the image, prune starts the server as soon as that is made', async () => {
  const { id } = await running()
  await holdAfter('createImage')
  await service.pruneAt(day(1, '01:00:07'))
  expect(actions()).toEqual(['os-stop', 'createImage'])
  await service.pruneAt(day(1, '01:01:00'))
  await service.pruneAt(day(1, '01:02:00'))
  expect(statusOf(id)).toBe('ACTIVE')
  expect(await restarts()).toEqual([])
})

test('a server that was left stopped is started although Glance is down', async () => {
  const { id } = await running()
  await holdAfter('os-stop')
  fixture.world.openstack.stop('glance')
  await service.pruneAt(day(1, '01:15:00'))
  await pass(1000)
  expect(statusOf(id)).toBe('ACTIVE')
})

test('a server that was left stopped is started although its schedule was deleted meanwhile', async () => {
  const { id } = await running()
  await holdAfter('os-stop')
  await fixture.world.deleteSchedule('daily', 'web-1')
  await ticks('01:15:00', '01:30:00')
  expect(statusOf(id)).toBe('ACTIVE')
  expect(await restarts()).toEqual([])
})

test('nothing is left to be done for a server that was deleted while it was stopped', async () => {
  const { id } = await running()
  await holdAfter('os-stop')
  fixture.world.openstack.remove(id)
  await ticks('01:15:00')
  expect(await restarts()).toEqual([])
})

test('a server that is deleted while it is being stopped is not waited for', async () => {
  const { id } = await running()
  const goOn = await holdAfter('os-stop')
  fixture.world.openstack.remove(id)
  await goOn()
  expect(await problem()).toBe(`Server ${id} no longer exists; its images are kept.`)
  expect(fixture.world.clock().getTime()).toBeLessThan(Date.parse(day(1, '01:01:00')))
  expect(await restarts()).toEqual([])
})

test('an attempt waits for what an earlier one may still do to the server, and prune leaves it to the attempt', async () => {
  const { world } = fixture
  const { id } = await running()
  // The first attempt dies before its request to stop goes out, so that the server might be stopped later.
  world.openstack.fault({ service: 'compute', method: 'POST', body: /os-stop/, times: 1, then: 'hang' })
  void service.snapshotAt('daily', day(1)).catch(() => {})
  while (!actions().includes('os-stop')) await new Promise(setImmediate)
  service = serviceIn(world, {}, { sleep: pass })
  await service.pruneAt(day(1, '01:15:00'))
  expect(await service.snapshotAt('daily', day(1, '01:45:00'))).toMatchObject({ waiting: 1 })
  const [left] = await restarts()
  await service.pruneAt(day(1, '01:46:00'))
  const goOn = await holdAfter('os-stop', day(1, '02:00:00'))
  await world.restoreRuns([...(await world.runs()), left!])
  await service.pruneAt(day(1, '02:00:02'))
  expect(actions()).toEqual(['os-stop', 'os-stop'])
  await goOn()
  expect(actions()).toEqual(['os-stop', 'os-stop', 'createImage', 'os-start'])
  await ticks('02:15:00', '02:30:00')
  expect(statusOf(id)).toBe('ACTIVE')
  expect(await restarts()).toEqual([])
})

test('of two schedules that stop a server the second waits until the first has its image', async () => {
  const { world } = fixture
  const { id, volumeIds } = await running(volumeBacked)
  world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_delay: '60' } })
  await world.putSchedule({ cadence: 'weekly', schedule: 'web-1', dayOfWeek: 'sunday', server: id, retention: 1, spread: 0, onEnable: 'now', ...stopped })
  const goOn = await holdAfter('createImage')
  expect(await service.snapshotAt('weekly', day(1, '01:00:20'))).toMatchObject({ waiting: 1, started: 0 })
  await goOn()
  expect(statusOf(id)).toBe('ACTIVE')
  await ticks('01:15:00', '01:30:00')
  expect(actions()).toEqual(['os-stop', 'createImage', 'os-start', 'os-stop', 'createImage', 'os-start'])
  expect(imagesOf(world, id)).toHaveLength(2)
})

test('once a server was seen running again, a person may stop it', async () => {
  const { id } = await running()
  await holdAfter('os-stop')
  await service.pruneAt(day(1, '01:14:00'))
  await service.pruneAt(day(1, '01:24:00'))
  fixture.world.openstack.setServer(id, { status: 'SHUTOFF' })
  await service.pruneAt(day(1, '01:29:00'))
  expect(actions()).toEqual(['os-stop', 'os-start'])
})

test('a server that a person started meanwhile is left alone', async () => {
  const { id } = await running()
  await holdAfter('os-stop')
  fixture.world.openstack.setServer(id, { status: 'ACTIVE' })
  await ticks('01:15:00', '01:30:00')
  expect(actions()).not.toContain('os-start')
  expect(await restarts()).toEqual([])
  expect(statusOf(id)).toBe('ACTIVE')
})

test.each([['SHUTOFF', 'ACTIVE', ['os-stop', 'createImage', 'os-start']], ['ACTIVE', 'SHUTOFF', ['createImage']]])('a server that was %s when it was listed and is %s when its turn comes is taken as it is then', async (listed, status, expected) => {
  const { world } = fixture
  const { id } = await running({ status: listed })
  const api = await connect(JSON.parse(world.aws.parameters.get('/scheduled-images/local/clouds/default')!) as CloudEntry)
  const { text } = await api.request('compute', 'GET', '/servers/detail', { microversion: 'compute 2.26' })
  world.openstack.fault({ service: 'compute', method: 'GET', path: /detail/, times: 1, then: { body: text } })
  world.openstack.setServer(id, { status })
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 1 })
  expect(actions()).toEqual(expected)
  expect(statusOf(id)).toBe(status)
})

test('a server that is started and does not run is told of once, and started again at each tick', async () => {
  const { world } = fixture
  const { id } = await running()
  await holdAfter('os-stop')
  const ineffective = world.openstack.fault({ service: 'compute', method: 'POST', body: /os-start/, then: { status: 202, body: '' } })
  await ticks('01:15:00')
  expect(told('SERVER_NOT_STARTED')).toEqual([])
  await ticks('01:30:00', '01:45:00', '02:00:00')
  expect(told('SERVER_NOT_STARTED')).toHaveLength(1)
  expect(await problem()).toMatch(/^Server "web-1" was stopped for its image and cannot be started again: /)
  ineffective()
  await ticks('02:15:00', '02:30:00', '02:45:00')
  expect(statusOf(id)).toBe('ACTIVE')
  expect(await problem()).toBeUndefined()
})

test('a start that was carried out although its answer was lost is no problem', async () => {
  const { world } = fixture
  const { id } = await running()
  await holdAfter('os-stop')
  world.openstack.fault({ service: 'compute', method: 'POST', body: /os-start/, times: 1, then: 'lose-answer' })
  await ticks('01:15:00')
  expect(told('SERVER_NOT_STARTED')).toEqual([])
  await ticks('01:30:00')
  expect(statusOf(id)).toBe('ACTIVE')
})

test('a server that is in error by then is told of, and left alone', async () => {
  const { id } = await running()
  await holdAfter('os-stop')
  fixture.world.openstack.setServer(id, { status: 'ERROR' })
  await ticks('01:15:00')
  expect(told('SERVER_NOT_STARTED')).toHaveLength(1)
  expect(await restarts()).toEqual([])
})

test('that a server cannot be started again is told beside what its image failed for', async () => {
  const { world } = fixture
  await running()
  const locked = refuse(/os-start/)
  world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: { status: 500 } })
  await ticks('01:00:00', '01:15:00', '01:16:00')
  expect(await problem()).toMatch(/^Server "web-1" was stopped .* The answer of createImage was lost, and no image of this run exists\.$/)
  locked()
  await ticks('01:30:00', '01:31:00', '01:32:00')
  expect(await problem()).toBe('The answer of createImage was lost, and no image of this run exists.')
})

test('a later attempt does not have it told again', async () => {
  const { world } = fixture
  await running()
  refuse(/os-start/)
  world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: { status: 500 } })
  await ticks('01:00:00', '01:15:00', '01:30:00', '01:45:00', '02:00:00', '02:15:00')
  expect(imagesOf(world, world.openstack.servers()[0]!.id)).toHaveLength(1)
  expect(await problem()).toMatch(/cannot be started again/)
  expect(told('SERVER_NOT_STARTED')).toHaveLength(1)
})

test('the item of a selector no longer tells of a server that runs again', async () => {
  const { world } = fixture
  world.openstack.addServer(world.project, { name: 'app-1' })
  await world.putSchedule({ cadence: 'daily', schedule: 'fleet', selector: { name: 'app-*' }, retention: 1, spread: 0, ...stopped })
  await ticks('00:30:00')
  const locked = refuse(/os-start/)
  await ticks('01:00:00', '01:15:00', '03:00:00')
  expect(await problem('fleet')).toMatch(/cannot be started again/)
  locked()
  await ticks('03:15:00', '03:30:00', '03:45:00')
  expect(await problem('fleet')).toBeUndefined()
  expect(await stateOf(world, 'fleet')).toMatchObject({ next: '2026-11-02T01:00:00.000Z' })
})

test.each([['20 minutes', 1200, '01:15:00', '01:30:00'], ['3 hours', 10_800, '01:45:00', '02:00:00']])(
  'a volume-backed server whose image takes %s is started when it is made, or after an hour',
  async (_what, seconds, before, after) => {
    const { world } = fixture
    const { id, volumeIds } = await running(volumeBacked)
    world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_delay: String(seconds) } })
    await service.snapshotAt('daily', day(1))
    for (const time of ['01:15:00', '01:30:00', '01:45:00'].filter((time) => time <= before)) await service.pruneAt(day(1, time))
    expect(actions()).not.toContain('os-start')
    await service.pruneAt(day(1, after))
    await pass(1000)
    expect(statusOf(id)).toBe('ACTIVE')
  },
)

test('a server is not started while an image is being made whose answer was lost', async () => {
  const { world } = fixture
  const { volumeIds } = await running(volumeBacked)
  world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_delay: '30' } })
  world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'lose-answer' })
  await service.snapshotAt('daily', day(1))
  const [made, start] = acted().slice(-2)
  expect([made?.action, start?.action]).toEqual(['createImage', 'os-start'])
  expect(start!.at.getTime() - made!.at.getTime()).toBeGreaterThanOrEqual(30_000)
})
