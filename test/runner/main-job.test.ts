import { expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled, stateOf } from '../support/scene.ts'

const fixture = useWorld()

test('seven days with retention 3 leave the three newest good images of each server', async () => {
  const { world, service } = fixture
  const servers = [
    await scheduled(world, 'web-1'),
    await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 }),
    await scheduled(world, 'idle-1', { status: 'SHUTOFF' }),
  ]
  await enable(service)
  await runDays(service, 1, 7)

  expect(service.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
  for (const { id } of servers) {
    expect(imagesOf(world, id).map(({ status, properties }) => [status, properties['scheduled_images__period']])).toEqual([
      ['active', '2026-11-05'], ['active', '2026-11-06'], ['active', '2026-11-07'],
    ])
  }
  expect(world.openstack.snapshots()).toHaveLength(6)
  for (const image of world.openstack.images().filter(({ name }) => name?.startsWith('Daily-'))) {
    expect(image.properties['scheduled_images__image']).toBe(image.id)
    expect(image.tags).toEqual(['scheduled-images'])
  }
  expect(await stateOf(world, 'web-1')).toEqual({
    since: '2026-11-01T00:30:00.000Z',
    lastRun: { time: '2026-11-07T01:00:00.000Z', period: '2026-11-07', server: servers[0]!.id },
    lastGood: { time: '2026-11-07T01:00:00.000Z', period: '2026-11-07', image: imagesOf(world, servers[0]!.id).at(-1)!.id },
    next: '2026-11-08T01:00:00.000Z',
  })
  const counts = Map.groupBy(world.aws.events, ({ type }) => type)
  expect([...counts].map(([type, events]) => [type, events.length])).toEqual([
    ['Scheduled Image Started', 21], ['Scheduled Image Good', 21], ['Scheduled Images Pruned', 12],
  ])
})

test('weekly and daily schedules of one server have pools of their own', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 2 })
  // 2026-11-01 is a Sunday.
  await world.putSchedule({ cadence: 'weekly', schedule: 'web-1', server: id, retention: 1, dayOfWeek: 'Tuesday', at: '01:15', spread: 0 })
  await enable(service)
  await runDays(service, 1, 11)
  const periods = Map.groupBy(imagesOf(world, id), ({ properties }) => properties['scheduled_images__schedule'])
  expect([...periods].map(([schedule, images]) => [schedule, images.map(({ properties }) => properties['scheduled_images__period'])])).toEqual([
    ['daily/web-1', ['2026-11-10', '2026-11-11']],
    ['weekly/web-1', ['2026-11-10']],
  ])
})

test('an event says which image of which server became good, and with which reason one failed', async () => {
  const { world, service } = fixture
  const web = await scheduled(world, 'web-1')
  const broken = await scheduled(world, 'broken', { metadata: { lab_fail: 'snapshot' } })
  await enable(service)
  await service.tickAt(day(1))
  await service.tickAt(day(1, '01:15:00'))

  const [image] = imagesOf(world, web.id)
  expect(world.aws.events).toContainEqual({
    type: 'Scheduled Image Good', source: 'scheduled-images', bus: 'bus',
    detail: {
      version: 1, cloud: 'default', server: { id: web.id, name: 'web-1' }, schedule: 'daily/web-1', period: '2026-11-01', attempt: 1,
      image: { id: image!.id, name: image!.name },
    },
  })
  expect(world.aws.events.find(({ type }) => type === 'Scheduled Image Failed')?.detail).toEqual({
    version: 1, cloud: 'default', server: { id: broken.id, name: 'broken' }, schedule: 'daily/broken', period: '2026-11-01', attempt: 1,
    reason: { code: 'IMAGE_GONE', message: expect.stringMatching(/^Image [0-9a-f-]{36} is gone: OpenStack removes it when the snapshot fails/) as string },
  })
})

test('events that cannot be sent are logged, and no run fails of it', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  world.aws.eventsFail = true
  await enable(service)
  await runDays(service, 1, 1)
  expect(imagesOf(world, id)).toHaveLength(1)
  expect(service.lines.filter(({ message }) => message === 'events were not sent').length).toBeGreaterThan(0)
}, 30_000)

test('only `state` of an item is written, and an item that was deleted stays deleted', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  const before = await world.getSchedule('daily', 'web-1')
  await service.snapshotAt('daily', day(1))
  await world.editSchedule('daily', 'web-1', { retention: 9 })
  await service.pruneAt(day(1, '01:15:00'))
  expect(await world.getSchedule('daily', 'web-1')).toEqual({ ...before, retention: 9, state: expect.objectContaining({ lastGood: expect.anything() as unknown }) as unknown })

  await service.snapshotAt('daily', day(2))
  await world.deleteSchedule('daily', 'web-1')
  await service.pruneAt(day(2, '01:15:00'))
  expect(await world.getSchedule('daily', 'web-1')).toBeUndefined()
})
