import { expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, imagesOf, stateOf } from '../support/scene.ts'

const fixture = useWorld()

const periodsOf = (id: string, schedule: string) =>
  imagesOf(fixture.world, id).filter(({ properties }) => properties['scheduled_images__schedule'] === schedule).map(({ properties }) => properties['scheduled_images__period']).toSorted()

test('daily, weekly, monthly, yearly and office hours of one server each keep their own images', async () => {
  const { world, service } = fixture
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  const common = { schedule: 'web-1', server: id, spread: 0, at: '01:01' }
  await world.putSchedule({ ...common, cadence: 'daily', retention: 7 })
  await world.putSchedule({ ...common, cadence: 'weekly', dayOfWeek: 'sunday', retention: 1 })
  await world.putSchedule({ ...common, cadence: 'monthly', retention: 12, onEnable: 'now' })
  await world.putSchedule({ ...common, cadence: 'yearly', month: 11, dayOfMonth: 5, retention: 2 })
  const { at: _at, spread: _spread, ...timeless } = common
  await world.putSchedule({ ...timeless, cadence: 'custom', cron: '1 6-18/2 * * *', retention: 12 })
  for (let n = 1; n <= 10; n += 1) {
    for (const hour of ['00', '01', '06', '08', '10', '12', '14', '16', '18']) for (const minute of ['01', '16', '31']) await service.tickAt(day(n, `${hour}:${minute}:00`))
  }
  expect(periodsOf(id, 'daily/web-1')).toEqual(['04', '05', '06', '07', '08', '09', '10'].map((n) => `2026-11-${n}`))
  expect(periodsOf(id, 'weekly/web-1')).toEqual(['2026-11-08'])
  expect(periodsOf(id, 'monthly/web-1')).toEqual(['2026-10-01', '2026-11-01'])
  expect(periodsOf(id, 'yearly/web-1')).toEqual(['2026-11-05'])
  const hours = ['06', '08', '10', '12', '14', '16', '18']
  expect(periodsOf(id, 'custom/web-1')).toEqual([...hours.slice(2).map((hour) => `2026-11-09T${hour}:01Z`), ...hours.map((hour) => `2026-11-10T${hour}:01Z`)])
  expect(imagesOf(world, id).map(({ name }) => name?.split('-')[0]).toSorted()).toEqual([...Array<string>(12).fill('Custom'), ...Array<string>(7).fill('Daily'), 'Monthly', 'Monthly', 'Weekly', 'Yearly'])
  expect(await stateOf(world, 'web-1', 'yearly')).toMatchObject({ next: '2027-11-05T01:01:00.000Z' })
  expect(await stateOf(world, 'web-1', 'monthly')).toMatchObject({ next: '2026-12-01T01:01:00.000Z' })
  expect(await stateOf(world, 'web-1', 'custom')).toMatchObject({ next: '2026-11-11T06:01:00.000Z' })
}, 120_000)

test('when a schedule begins to count, the log tells of its next runs in local time, and of clocks that change', async () => {
  const { world, service } = fixture
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  await world.putSchedule({ cadence: 'monthly', schedule: 'web-1', server: id, retention: 1, spread: 0, timeZone: 'Europe/Stockholm', dayOfMonth: 31 })
  world.setClock('2027-01-15T00:00:00Z')
  await service.snapshotAt('monthly', '2027-01-15T00:00:00Z')
  expect(service.lines).toContainEqual(expect.objectContaining({
    message: 'counts from now on; it runs next at 2027-01-31 01:00 +01:00, 2027-02-28 01:00 +01:00, 2027-03-31 01:00 +02:00',
    next: [
      { startsAt: '2027-01-31T00:00:00.000Z', local: '2027-01-31 01:00 +01:00', clockChange: undefined },
      { startsAt: '2027-02-28T00:00:00.000Z', local: '2027-02-28 01:00 +01:00', clockChange: undefined },
      { startsAt: '2027-03-30T23:00:00.000Z', local: '2027-03-31 01:00 +02:00', clockChange: 'clocks went forward by 1 h' },
    ],
  }))
})

test('a cron that was changed is due at once for its latest instant, and one that is too fine has an image at every second tick', async () => {
  const { world, service } = fixture
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  await world.putSchedule({ cadence: 'custom', schedule: 'web-1', server: id, retention: 9, cron: '1 6-18/2 * * *' })
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['06:01:00', '06:16:00']) await service.tickAt(day(1, time))
  await world.editSchedule('custom', 'web-1', { cron: '2 5 * * *' })
  for (const time of ['06:31:00', '06:46:00']) await service.tickAt(day(1, time))
  expect(periodsOf(id, 'custom/web-1')).toEqual(['2026-11-01T05:02Z', '2026-11-01T06:01Z'])
  await world.editSchedule('custom', 'web-1', { cron: '*/5 * * * *' })
  for (const time of ['07:00:00', '07:15:00', '07:30:00', '07:45:00', '08:00:00']) await service.tickAt(day(1, time))
  expect(periodsOf(id, 'custom/web-1').slice(2)).toEqual(['2026-11-01T07:00Z', '2026-11-01T07:30Z', '2026-11-01T08:00Z'])
  const missed = world.aws.events.filter(({ type }) => type === 'Scheduled Image Missed').map(({ detail }) => (detail as { period: string }).period)
  expect(missed).toEqual(['2026-11-01T06:55Z', '2026-11-01T07:25Z', '2026-11-01T07:55Z'])
})

test('keep rules leave what they say, and the log has every reason', async () => {
  const { world, service } = fixture
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  await world.putSchedule({ cadence: 'daily', schedule: 'web-1', server: id, keep: { last: 2, weekly: 2 }, spread: 0 })
  await service.tickAt(day(1, '00:30:00'))
  for (let n = 1; n <= 18; n += 1) for (const time of ['01:00:00', '01:15:00', '01:30:00']) await service.tickAt(day(n, time))
  // Weeks end on the 1st, 8th and 15th.
  expect(periodsOf(id, 'daily/web-1')).toEqual(['2026-11-15', '2026-11-17', '2026-11-18'])
  const reasons = service.lines.filter(({ message }) => message.startsWith('kept: ')).slice(-3).map(({ message }) => message)
  expect(reasons[0]).toMatch(/^kept: good image 1 of 2; the newest of the week of 2026-11-16 \(weekly 1 of 2\)/)
})

test('a zone that is changed on a live schedule gives no local date two images; a clock that jumps back makes none again', async () => {
  const { world, service } = fixture
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  await world.putSchedule({ cadence: 'daily', schedule: 'web-1', server: id, retention: 9, spread: 0 })
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '01:15:00']) await service.tickAt(day(1, time))
  await world.editSchedule('daily', 'web-1', { timeZone: 'America/New_York' })
  for (let hour = 2; hour < 24; hour += 1) await service.tickAt(day(1, `${String(hour).padStart(2, '0')}:00:00`))
  expect(periodsOf(id, 'daily/web-1')).toEqual(['2026-11-01'])
  await world.editSchedule('daily', 'web-1', { timeZone: 'Pacific/Auckland' })
  for (const time of ['00:00:00', '00:15:00']) await service.tickAt(day(2, time))
  expect(periodsOf(id, 'daily/web-1')).toEqual(['2026-11-01', '2026-11-02'])
  for (const time of ['00:45:00', '12:00:00']) await service.tickAt(day(1, time))
  expect(periodsOf(id, 'daily/web-1')).toEqual(['2026-11-01', '2026-11-02'])
})

test('a server that is gone is told of once, with since when; its images stay, and it is not asked for all the time', async () => {
  const { world, service } = fixture
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  await world.putSchedule({ cadence: 'daily', schedule: 'web-1', server: id, retention: 2, spread: 0 })
  await world.putSchedule({ cadence: 'daily', schedule: 'by-name', server: 'web-1', retention: 2, spread: 0 })
  await service.tickAt(day(1, '00:30:00'))
  for (const time of ['01:00:00', '01:15:00', '01:30:00', '01:45:00']) await service.tickAt(day(1, time))
  expect(imagesOf(world, id)).toHaveLength(2)
  world.openstack.remove(id)
  await world.editSchedule('daily', 'by-name', { enabled: false })
  const before = world.openstack.requests.length
  for (let hour = 0; hour < 48; hour += 1) for (const minute of [0, 15, 30, 45]) await service.tickAt(new Date(Date.UTC(2026, 10, 2, hour, minute)).toISOString())
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(/ does not exist in the project of cloud "default"; its images are kept\..* It has been missing since 2026-11-02T01:00:00\.000Z\.$/)
  expect(await stateOf(world, 'web-1')).toMatchObject({ missingSince: '2026-11-02T01:00:00.000Z' })
  expect(imagesOf(world, id)).toHaveLength(2)
  expect(world.openstack.requests.slice(before).filter(({ path }) => path.includes('/servers')).length).toBeLessThanOrEqual(14)
  expect(world.aws.events.filter(({ type, detail }) => type === 'Scheduled Image Failed' && (detail as { schedule: string }).schedule === 'daily/web-1')).toHaveLength(1)
})
