import { expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, enable, runDays, scheduled } from '../support/scene.ts'

const fixture = useWorld({ snapshotSeconds: { saving: 20, active: 400, idle: 402 } })
const sum = (values: readonly number[] | undefined) => (values ?? []).reduce((total, value) => total + value, 0)

test('a calm day counts what was made, measures how long it took, and what is under way', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1', {}, { retention: 1 })
  await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 }, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 2)
  expect([service.metrics['ImagesStarted'], service.metrics['ImagesGood'], service.metrics['ImagesDeleted']].map(sum)).toEqual([4, 4, 2])
  // That of a volume-backed server has no data that could take long to come.
  expect(service.metrics['ImageDuration']).toEqual([400, 400])
  expect(service.metrics['ImagesInFlight']).toEqual([0, 2, 2, 0, 2, 2, 0])
  for (const name of ['ImagesFailed', 'RunsMissed', 'PlansRefused', 'DeletionsCapped']) expect(service.metrics).not.toHaveProperty(name)
  expect([sum(service.metrics['SchedulesOverdue']), sum(service.metrics['SchedulesInvalid'])]).toEqual([0, 0])
})

test('each attempt that fails counts once, and so does a period that ends without an image', async () => {
  const { world, service } = fixture
  await scheduled(world, 'broken', { status: 'ERROR' })
  await scheduled(world, 'gone', { metadata: { lab_fail: 'snapshot' } })
  await enable(service)
  await runDays(service, 1, 1)
  // broken: at 01:00 and 01:15; gone: asked at 01:00, and seen to have failed at 01:15.
  expect(sum(service.metrics['ImagesFailed'])).toBe(3)
  await service.pruneAt(day(1, '01:45:00'))
  expect(sum(service.metrics['ImagesFailed'])).toBe(4)
  expect(service.metrics).not.toHaveProperty('RunsMissed')
  await service.tickAt(day(2))
  expect(sum(service.metrics['RunsMissed'])).toBe(2)
})

test('an answer that was lost is no failure until it is known to be one', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  world.openstack.fault({ service: 'compute', body: /createImage/, times: 1, then: 'lose-answer' })
  await service.tickAt(day(1))
  expect(service.lines).toContainEqual(expect.objectContaining({ code: 'ANSWER_LOST' }))
  await service.tickAt(day(1, '01:15:00'))
  expect(service.metrics).not.toHaveProperty('ImagesFailed')
  expect(sum(service.metrics['ImagesGood'])).toBe(1)
})

test('each tick of prune says how many schedules of all cadences are overdue, and how many invalid, and names the overdue ones', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await scheduled(world, 'broken', { status: 'ERROR' })
  await world.putSchedule({ cadence: 'daily', schedule: 'typo', server: 'web-1', retension: 1 })
  await world.putSchedule({ cadence: 'custom', schedule: 'broken', server: 'broken', cron: '0 */2 * * *', retention: 1 })
  await world.putSchedule({ cadence: 'weekly', schedule: 'web-1', server: 'web-1', dayOfWeek: 'saturday', retention: 1 })
  await enable(service)
  await service.tickAt(day(1))
  for (const [time, overdue] of [['02:45:00', 0], ['03:00:00', 1], ['06:45:00', 1], ['07:00:00', 2]] as const) {
    await service.snapshotAt('daily', day(1, time))
    expect(await service.pruneAt(day(1, time))).toMatchObject({ overdue })
  }
  expect(service.metrics).toMatchObject({ SchedulesInvalid: [1, 1, 1, 1, 1, 1], SchedulesOverdue: [0, 0, 0, 1, 1, 2] })
  const told = service.lines.filter(({ message }) => message.includes('overdue'))
  expect(told.map(({ level, message }) => `${level}: ${message}`)).toEqual([
    'warn: 1 schedule is overdue: custom/broken',
    'warn: 1 schedule is overdue: custom/broken',
    'warn: 2 schedules are overdue: daily/broken, custom/broken',
  ])
})

test('a schedule whose image becomes good at this tick is overdue no more', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  expect(await service.pruneAt(day(1, '08:00:00'))).toMatchObject({ overdue: 1 })
  await service.tickAt(day(1, '08:15:00'))
  expect(await service.pruneAt(day(1, '08:30:00'))).toMatchObject({ good: 1, overdue: 0 })
})

test('of very many that are overdue, the first twenty are named', async () => {
  const { world, service } = fixture
  for (let n = 10; n < 31; n += 1) await world.putSchedule({ cadence: 'daily', schedule: `gone-${n}`, server: 'gone', retention: 1 })
  await enable(service)
  expect(await service.pruneAt(day(2))).toMatchObject({ overdue: 21 })
  expect(service.lines.at(-1)!.message).toMatch(/^21 schedules are overdue: daily\/gone-10, .*, daily\/gone-29, …$/)
})
