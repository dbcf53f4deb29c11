import { expect, test } from 'vitest'
import { personIn } from '../../demo/person.ts'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled } from '../support/scene.ts'
import { serviceIn } from '../support/service.ts'

const fixture = useWorld()

const periodsOf = (server: string) => imagesOf(fixture.world, server).map(({ properties }) => properties['scheduled_images__period']?.slice(-2))

test('case 42: when new images fail, the old ones stay', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 2 })
  await enable(service)
  await runDays(service, 1, 2)
  world.openstack.setServer(id, { metadata: { lab_fail: 'snapshot' } })
  await runDays(service, 3, 6)
  expect(periodsOf(id)).toEqual(['01', '02'])
})

test('a schedule that is disabled, deleted or broken keeps everything', async () => {
  const { world, service } = fixture
  const servers = [await scheduled(world, 'disabled'), await scheduled(world, 'deleted'), await scheduled(world, 'broken')]
  await enable(service)
  await runDays(service, 1, 3)
  await world.editSchedule('daily', 'disabled', { enabled: false, retention: 1 })
  await world.deleteSchedule('daily', 'deleted')
  await world.editSchedule('daily', 'broken', { retention: -1 })
  await scheduled(world, 'other')
  await runDays(service, 4, 6)
  expect(servers.map(({ id }) => periodsOf(id))).toEqual([['01', '02', '03'], ['01', '02', '03'], ['01', '02', '03']])
})

test('a schedule whose item was deleted while its image was being made still gets it settled', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  await service.snapshotAt('daily', day(1))
  await world.deleteSchedule('daily', 'web-1')
  expect(await service.pruneAt(day(1, '01:15:00'))).toMatchObject({ good: 1 })
  expect(imagesOf(world, id)).toMatchObject([{ tags: ['scheduled-images'] }])
})

test('a lower retention is carried out with the next good image', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 5 })
  await enable(service)
  await runDays(service, 1, 5)
  await world.editSchedule('daily', 'web-1', { retention: 2 })
  await runDays(service, 6, 6)
  expect(periodsOf(id)).toEqual(['05', '06'])
})

test('a server whose schedule moved from weekly to daily keeps one count for both, if the new one adopts the old', async () => {
  const { world, service } = fixture
  const { id } = world.openstack.addServer(world.project, { name: 'web-1' })
  await world.putSchedule({ cadence: 'weekly', schedule: 'web-1', server: id, retention: 3, dayOfWeek: 'sunday', spread: 0 })
  await enable(service)
  await runDays(service, 1, 8)
  await world.deleteSchedule('weekly', 'web-1')
  await world.putSchedule({ cadence: 'daily', schedule: 'web-1', server: id, retention: 3, spread: 0, adopts: ['weekly/web-1'] })
  await runDays(service, 9, 11)
  expect(periodsOf(id)).toEqual(['09', '10', '11'])
})

test('case 46: an image that is gone by the time it is deleted counts as gone', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  world.openstack.fault({ service: 'image', method: 'DELETE', times: 1, then: { status: 404 } })
  await service.tickAt(day(2))
  expect(await service.pruneAt(day(2, '01:15:00'))).toMatchObject({ deleted: 1 })
  expect(periodsOf(id)).toEqual(['01', '02'])
})

test('a delete that is refused is told, and stops no other', async () => {
  const { world, service } = fixture
  const [a, b] = [await scheduled(world, 'web-a', {}, { retention: 1 }), await scheduled(world, 'web-b', {}, { retention: 1 })]
  await enable(service)
  await runDays(service, 1, 1)
  const doomed = imagesOf(world, a.id)[0]!
  world.openstack.fault({ service: 'image', method: 'DELETE', path: new RegExp(doomed.id), then: { status: 409 } })
  await runDays(service, 2, 2)
  expect([periodsOf(a.id), periodsOf(b.id)]).toEqual([['01', '02'], ['02']])
  expect(service.lines.find(({ image, level }) => level === 'warn' && image === doomed.id)).toMatchObject({
    message: expect.stringMatching(/^not deleted: Image .* is in use/) as unknown, code: 'CONFLICT', requestId: expect.any(String) as unknown,
  })
})

test('case 48: a volume snapshot that Cinder failed to delete is found again, although its image is gone', async () => {
  const { world, service } = fixture
  const { id, volumeIds } = await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 }, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_fail: 'delete_snapshot' } })
  await runDays(service, 2, 2)
  expect(periodsOf(id)).toEqual(['02'])
  expect(world.openstack.snapshots()).toHaveLength(3)
  expect(service.lines.some(({ message }) => message.includes('of a deleted image is still there (available)'))).toBe(true)

  world.openstack.setVolume(volumeIds[0]!, { metadata: {} })
  await service.tickAt(day(2, '01:45:00'))
  await service.tickAt(day(2, '02:00:00'))
  expect(world.openstack.snapshots()).toHaveLength(2)
  expect((await world.runs()).filter(({ run }) => String(run).startsWith('deletion#'))).toEqual([])
})

test('case 48: it is found again days later too, in a cloud that has images to prune at all hours', async () => {
  const { world, service } = fixture
  const { volumeIds } = await scheduled(world, 'db-1', { volumeBacked: true }, { retention: 1 })
  for (const hour of ['09', '17']) await scheduled(world, `web-${hour}`, {}, { at: `${hour}:00` })
  await enable(service)
  world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_fail: 'delete_snapshot' } })
  const runAllHours = async (n: number) => {
    for (const hour of ['01', '09', '17']) for (const minute of ['00', '15', '30']) await service.tickAt(day(n, `${hour}:${minute}:00`))
  }
  for (const n of [1, 2, 3]) await runAllHours(n)
  world.openstack.setVolume(volumeIds[0]!, { metadata: {} })
  await runAllHours(4)
  expect(world.openstack.snapshots()).toHaveLength(1)
  expect((await world.runs()).filter(({ run }) => String(run).startsWith('deletion#'))).toEqual([])
})

test('the volume snapshots of an image whose own delete was refused are left alone', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true }, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  const repair = world.openstack.fault({ service: 'image', method: 'DELETE', then: { status: 409 } })
  await runDays(service, 2, 2)
  expect([periodsOf(id), world.openstack.snapshots().length]).toEqual([['01', '02'], 2])
  repair()
  await runDays(service, 3, 3)
  expect([periodsOf(id), world.openstack.snapshots().length]).toEqual([['03'], 1])
})

test('case 49: an image whose volume snapshot somebody deleted is not good, and takes no place', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true }, { retention: 2 })
  await enable(service)
  await runDays(service, 1, 2)
  world.openstack.remove(world.openstack.snapshots()[1]!.id)
  await runDays(service, 3, 4)
  expect(periodsOf(id)).toEqual(['02', '03', '04'])
})

test('case 43, 44: a listing that is cut, endless or broken deletes nothing', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  const answers = [
    { status: 200, body: { images: [], next: '/v2/images?marker=1&limit=1000' } },
    { status: 200, body: { images: [{ id: 'not a uuid' }] } },
    { status: 200, body: '<html>' },
    { status: 302, headers: { Location: 'http://127.0.0.1:9/' } },
  ]
  for (const [n, then] of answers.entries()) {
    const repair = world.openstack.fault({ service: 'image', method: 'GET', path: /\/images\?/, then })
    await runDays(service, n + 2, n + 2)
    expect(world.openstack.requests.filter(({ method }) => method === 'DELETE')).toEqual([])
    repair()
  }
  await runDays(service, 6, 6)
  expect(periodsOf(id)).toEqual(['06'])
})

test('a dry run plans and logs, and changes nothing anywhere', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 3 })
  await enable(service)
  await runDays(service, 1, 3)
  await world.editSchedule('daily', 'web-1', { retention: 1 })
  const before = [await world.runs(), await world.getSchedule('daily', 'web-1'), world.openstack.images()]
  const dry = serviceIn(world, { DRY_RUN: 'true' })
  expect(await dry.snapshotAt('daily', day(4))).toMatchObject({ planned: 1, started: 0 })
  expect(await dry.pruneAt(day(4, '02:00:00'))).toMatchObject({ planned: 2, deleted: 0 })
  expect([await world.runs(), await world.getSchedule('daily', 'web-1'), world.openstack.images()]).toEqual(before)
  expect(dry.lines.filter(({ message }) => message.startsWith('dry run:')).map(({ message }) => message.replace(/\d{10}/, 'TIME'))).toEqual([
    'dry run: would start Daily-web-1-TIME',
    'dry run: would delete Daily-web-1-TIME: a newer good image is kept',
    'dry run: would delete Daily-web-1-TIME: a newer good image is kept',
  ])
  expect(periodsOf(id)).toEqual(['01', '02', '03'])
})

test('an image that a person protects between the listing and the delete stays', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true }, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  const first = imagesOf(world, id)[0]!
  await service.tickAt(day(2))
  world.setClock(day(2, '01:15:00'))
  world.openstack.fault({ service: 'image', method: 'PATCH', times: 1, then: { delayMs: 300 } })
  const pruned = service.prune({ now: new Date(day(2, '01:15:00')), timeLeftMs: () => 300_000 })
  await new Promise((resolve) => setTimeout(resolve, 150))
  await personIn(world).image('PATCH', first.id, [{ op: 'remove', path: '/org.openstack__1__created_by' }])
  expect(await pruned).toMatchObject({ deleted: 0 })
  expect([periodsOf(id), world.openstack.snapshots().length]).toEqual([['01', '02'], 2])
  expect((await world.runs()).filter(({ run }) => String(run).startsWith('deletion#'))).toEqual([])
})

test('a leftover is not deleted of a run that another invocation found good meanwhile', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  await service.snapshotAt('daily', day(1))
  world.setClock(day(1, '01:15:00'))
  // One invocation reads a Cinder that says error, while another reads the truth and is done first.
  const [snapshot] = world.openstack.snapshots()
  world.openstack.fault({ service: 'block-storage', method: 'GET', path: /snapshots/, times: 1, then: { delayMs: 400, body: { snapshots: [{ id: snapshot!.id, status: 'error' }] } } })
  const mistaken = service.prune({ now: new Date(day(1, '01:15:00')), timeLeftMs: () => 300_000 })
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(await serviceIn(world).pruneAt(day(1, '01:15:00'))).toMatchObject({ good: 1 })
  expect(await mistaken).toMatchObject({ good: 0, failed: 0 })
  await service.tickAt(day(1, '01:30:00'))
  expect(imagesOf(world, id)).toMatchObject([{ status: 'active', tags: ['scheduled-images'] }])
  expect(world.openstack.snapshots()).toHaveLength(1)
  expect((await world.runs()).filter(({ run }) => String(run).startsWith('deletion#'))).toEqual([])
})

test('a prune that ran out of time goes on at the next tick', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 3 })
  await enable(service)
  await runDays(service, 1, 3)
  await world.editSchedule('daily', 'web-1', { retention: 1 })
  await service.tickAt(day(4))
  world.setClock(day(4, '01:15:00'))
  // Time enough to settle, and none to delete.
  const patches = () => world.openstack.requests.filter(({ method }) => method === 'PATCH').length
  const before = patches()
  await service.prune({ now: new Date(day(4, '01:15:00')), timeLeftMs: () => (patches() > before ? 20_000 : 300_000) })
  expect(periodsOf(id)).toEqual(['01', '02', '03', '04'])
  await service.pruneAt(day(4, '01:30:00'))
  expect(periodsOf(id)).toEqual(['04'])
})

test('an image that a person hides between the listing and the delete stays', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  const [first] = imagesOf(world, id)
  await service.tickAt(day(2))
  world.setClock(day(2, '01:15:00'))
  const person = personIn(world)
  const listed = { images: await Promise.all(imagesOf(world, id).map(async (image) => (await person.image('GET', image.id)).json() as Promise<object>)) }
  await person.image('PATCH', first!.id, [{ op: 'replace', path: '/os_hidden', value: true }])
  world.openstack.fault({ service: 'image', method: 'GET', path: /\/images\?/, times: 1, then: { body: listed } })
  await service.pruneAt(day(2, '01:15:00'))
  expect(imagesOf(world, id).map((image) => image.id)).toContain(first!.id)
})

test('a leftover that a person has protected is not asked to be deleted', async () => {
  const { world, service } = fixture
  const { id, volumeIds } = await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_fail: 'snapshot' } })
  await service.tickAt(day(1))
  world.setClock(day(1, '01:10:00'))
  await personIn(world).image('PATCH', imagesOf(world, id)[0]!.id, [{ op: 'replace', path: '/protected', value: true }])
  await service.tickAt(day(1, '01:15:00'))
  expect(world.openstack.requests.filter(({ method, service: name }) => method === 'DELETE' && name === 'image')).toEqual([])
})

test('a volume snapshot that an image without our mark names, by whatever hand, stays', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true }, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  const { block_device_mapping } = imagesOf(world, id)[0]!.properties
  world.openstack.addImage(world.project, { name: 'copy', properties: { block_device_mapping: block_device_mapping! } })
  const [snapshot] = world.openstack.snapshots()
  await runDays(service, 2, 2)
  expect(world.openstack.snapshots().map((one) => one.id)).toContain(snapshot!.id)
})

test('an image that a person hides before it is settled takes no place', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 2 })
  await enable(service)
  await runDays(service, 1, 2)
  await service.snapshotAt('daily', day(3))
  world.setClock(day(3, '01:10:00'))
  await personIn(world).image('PATCH', imagesOf(world, id).at(-1)!.id, [{ op: 'replace', path: '/os_hidden', value: true }])
  await service.pruneAt(day(3, '01:15:00'))
  expect(periodsOf(id)).toEqual(['01', '02', '03'])
})
