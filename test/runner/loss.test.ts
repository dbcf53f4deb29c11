import { expect, test } from 'vitest'
import { personIn } from '../../demo/person.ts'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled, stateOf } from '../support/scene.ts'

const fixture = useWorld()

const periodsOf = (server: string) => oursOf(server).map(({ properties }) => properties['scheduled_images__period']?.slice(-2))
/** A volume-backed server's too. */
const oursOf = (server: string) => imagesOf(fixture.world, server).filter(({ name }) => name?.startsWith('Daily-'))
const runOf = async (period: string) => (await fixture.world.runs()).find(({ run }) => run === `${period}#daily/srv`)

/** What happens on the third day until the table is lost, before 02:00, and how many runs are found again by their images. */
type Moment = [sentence: string, until: () => Promise<void>, recovered: number]

const moments: Moment[] = [
  ['while all is good', () => runDays(fixture.service, 3, 3), 1],
  ['while an image is being made', async () => void (await fixture.service.snapshotAt('daily', day(3))), 1],
  ['while an image is there and not yet sealed', async () => {
    await fixture.service.snapshotAt('daily', day(3))
    fixture.world.setClock(day(3, '01:10:00'))
  }, 1],
  ['after an attempt failed', async () => {
    const { openstack } = fixture.world
    const { id } = openstack.servers()[0]!
    openstack.setServer(id, { taskState: 'rebooting' })
    await fixture.service.tickAt(day(3))
    openstack.setServer(id, { taskState: null })
  }, 0],
  ['before the day began', () => Promise.resolve(), 0],
]
const losses: [sentence: string, lose: (yesterday: Record<string, unknown>[]) => Record<string, unknown>[]][] = [
  ['a runs table that was emptied', () => []],
  ['a runs table that was put back to the day before', (yesterday) => yesterday],
]

test.each(losses.flatMap(([loss, lose]) => moments.flatMap(([moment, until, recovered]) => ['image', 'volume'].map((backing) => [loss, moment, backing, lose, until, recovered] as const))))(
  '%s %s: each period has one image all the same, and retention keeps its count (%s-backed)',
  async (_loss, _moment, backing, lose, until, recovered) => {
    const volumeBacked = backing === 'volume'
    const { world, service } = fixture
    const { id } = await scheduled(world, 'srv', { volumeBacked }, { retention: 2 })
    await enable(service)
    await runDays(service, 1, 1)
    await service.tickAt(day(2))
    const yesterday = await world.runs()
    for (const time of ['01:15:00', '01:30:00']) await service.tickAt(day(2, time))
    await until()
    await world.restoreRuns(lose(yesterday))

    const done = { recovered: 0, started: 0, faults: 0 }
    for (const time of ['02:00:00', '02:15:00', '02:30:00', '02:45:00']) {
      const summary = await service.snapshotAt('daily', day(3, time))
      for (const count of ['recovered', 'started', 'faults'] as const) done[count] += summary[count]
      await service.pruneAt(day(3, time))
    }
    expect(done).toEqual({ recovered, started: 1 - recovered, faults: 0 })
    expect(await runOf('2026-11-03')).toMatchObject({ status: 'good', server: id })
    expect(periodsOf(id)).toEqual(['02', '03'])
    await runDays(service, 4, 5)
    expect(periodsOf(id)).toEqual(['04', '05'])
    expect(world.openstack.snapshots()).toHaveLength(volumeBacked ? 2 : 0)
    expect(world.aws.events.filter(({ type }) => type === 'Scheduled Image Missed')).toEqual([])
    expect(await stateOf(world, 'srv')).toMatchObject({ lastGood: { period: '2026-11-05', image: oursOf(id)[1]!.id } })
  },
)

test.each([['sealed', '01:20:00'], ['not sealed yet', '01:05:00']])(
  'an image of a person that inherited every mark of the period, from an image that was %s, is not taken for the one that was forgotten',
  async (_when, time) => {
    const { world, service } = fixture
    const { id } = await scheduled(world, 'srv', {}, { retention: 1 })
    await enable(service)
    await service.tickAt(day(1))
    if (time > '01:15:00') await service.tickAt(day(1, '01:15:00'))
    const [ours] = oursOf(id)
    const person = personIn(world)
    world.setClock(day(1, time))
    await person.act(id, { rebuild: { imageRef: ours!.id } })
    world.setClock(day(1, '01:25:00'))
    const byHand = await person.createImage(id, 'by-hand')
    const { scheduled_images__run: runId } = ours!.properties
    expect(world.openstack.images().find((image) => image.id === byHand)!.properties).toMatchObject({ instance_uuid: id, scheduled_images__period: '2026-11-01', scheduled_images__run: runId! })
    world.openstack.remove(ours!.id)
    await world.restoreRuns([])

    expect(await service.snapshotAt('daily', day(1, '02:00:00'))).toMatchObject({ recovered: 0, started: 1 })
    await service.pruneAt(day(1, '02:15:00'))
    await runDays(service, 2, 3)
    expect(periodsOf(id)).toEqual(['03'])
    expect(world.openstack.images().find((image) => image.id === byHand)).toMatchObject({ name: 'by-hand', tags: [] })
  },
)

test('while images cannot be listed, no run is started that may have been forgotten, and the others are', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'srv')
  await enable(service)
  await runDays(service, 1, 1)
  await world.restoreRuns([])
  const fresh = await scheduled(world, 'fresh', {}, { onEnable: 'now' })
  const repair = world.openstack.fault({ service: 'image', method: 'GET', then: { status: 503 } })
  expect(await service.snapshotAt('daily', day(1, '01:45:00'))).toMatchObject({ recovered: 0, started: 1, unreachable: 1, faults: 0 })
  expect([oursOf(id).length, oursOf(fresh.id).length]).toEqual([1, 1])
  expect(service.lines.filter(({ level }) => level === 'error')).toMatchObject([
    { cloud: 'default', message: expect.stringMatching(/^the runs table has forgotten runs, and their images cannot be looked for: Listing images was answered 503/) as unknown },
  ])
  repair()
  expect(await service.snapshotAt('daily', day(1, '02:00:00'))).toMatchObject({ recovered: 1, started: 0, unreachable: 0 })
  expect(oursOf(id)).toHaveLength(1)
})

test('nothing is listed for servers that are due and were not forgotten', async () => {
  const { world, service } = fixture
  await scheduled(world, 'srv')
  await enable(service)
  await runDays(service, 1, 1)
  const since = world.openstack.requests.length
  await service.snapshotAt('daily', day(2))
  expect(world.openstack.requests.slice(since).filter(({ service: asked }) => asked === 'image')).toEqual([])
})

test('an item that was not shown what became of its run, since an invocation ended in between, is shown it at the next tick', async () => {
  const { world, service } = fixture
  await scheduled(world, 'srv')
  await enable(service)
  await service.snapshotAt('daily', day(1))
  const unshown = await stateOf(world, 'srv')
  await service.pruneAt(day(1, '01:15:00'))
  const shown = await stateOf(world, 'srv')
  expect(shown).toMatchObject({ lastGood: { period: '2026-11-01' } })
  const { lastRun: _lastRun, ...claimed } = unshown
  for (const state of [unshown, { ...claimed, problem: 'Nova may or may not have begun the image.' }]) {
    await world.editSchedule('daily', 'srv', { state })
    await service.snapshotAt('daily', day(1, '01:30:00'))
    expect(await stateOf(world, 'srv')).toEqual(shown)
  }
})

test('a sealed image whose volume snapshot broke stays when its run is recovered, with the volume snapshots that it has', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  const sealed = imagesOf(world, id)[0]!
  const [broken, healthy] = world.openstack.snapshots()
  world.openstack.setSnapshot(broken!.id, { status: 'error' })
  await world.restoreRuns([])
  for (const time of ['03:00:00', '03:15:00', '03:30:00']) await service.tickAt(day(1, time))
  expect(imagesOf(world, id).map((image) => image.id)).toContain(sealed.id)
  expect(world.openstack.snapshots().map((snapshot) => snapshot.id)).toContain(healthy!.id)
})

test('a recovered run whose image is not good is told of once, and another image is made', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  await runDays(service, 1, 1)
  await personIn(world).image('POST', `${imagesOf(world, id)[0]!.id}/actions/deactivate`)
  await world.restoreRuns([])
  for (const time of ['02:00:00', '02:15:00', '02:30:00', '02:45:00', '03:00:00']) await service.tickAt(day(1, time))
  expect(service.lines.filter(({ message }) => message.startsWith('the runs table has forgotten'))).toHaveLength(1)
  expect(imagesOf(world, id).map(({ status }) => status)).toEqual(['deactivated', 'active'])
})
