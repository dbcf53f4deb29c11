import { expect, test } from 'vitest'
import { personIn } from '../../demo/person.ts'
import { useWorld } from '../support/fixture.ts'
import { addCloud, day, enable, imagesOf, runDays, scheduled, stateOf } from '../support/scene.ts'

const fixture = useWorld()

const eventTypes = () => fixture.world.aws.events.map(({ type }) => type)
const warnings = () => fixture.service.lines.filter(({ level }) => level === 'warn' || level === 'error').map(({ message }) => message)

test('a snapshot that fails is tried again after about 15, 30 and 60 minutes, and then becomes good', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', { metadata: { lab_fail: 'snapshot' } })
  await enable(service)
  const starts: string[] = []
  for (let minute = 60; minute < 360; minute += 15) {
    const time = `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
    if (minute === 150) world.openstack.setServer(id, { metadata: {} })
    const { started } = await service.snapshotAt('daily', day(1, `${time}:00`))
    if (started) starts.push(time)
    await service.pruneAt(day(1, `${time}:30`))
  }
  expect(starts).toEqual(['01:00', '01:15', '01:45', '02:45'])
  expect(eventTypes().filter((type) => type === 'Scheduled Image Failed')).toHaveLength(3)
  expect(imagesOf(world, id)).toMatchObject([{ status: 'active', tags: ['scheduled-images'] }])
  expect(await stateOf(world, 'web-1')).not.toHaveProperty('problem')
})

test('a period that ends without a good image is missed, and told', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', { metadata: { lab_fail: 'snapshot' } })
  await enable(service)
  for (let hour = 1; hour < 24; hour += 1) await service.tickAt(day(1, `${String(hour).padStart(2, '0')}:00:00`))
  expect(await stateOf(world, 'web-1')).toMatchObject({ problem: expect.stringMatching(/is gone: OpenStack removes it when the snapshot fails/) as unknown })
  world.openstack.setServer(id, { metadata: {} })
  await runDays(service, 2, 2)

  expect(world.aws.events.filter(({ type }) => type === 'Scheduled Image Missed').map(({ detail }) => detail)).toMatchObject([
    { period: '2026-11-01', schedule: 'daily/web-1', server: { id, name: 'web-1' }, reason: { code: 'IMAGE_GONE' } },
  ])
  expect(imagesOf(world, id).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-02'])
  expect(await stateOf(world, 'web-1')).not.toHaveProperty('problem')
})

test('case 27: createImage whose answer is lost is not asked again: its image is found by the run', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'lose-answer' })
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 0, failed: 1 })
  expect(await stateOf(world, 'web-1')).toMatchObject({ problem: expect.stringMatching(/^Nova may or may not have begun the image/) as unknown })
  await service.tickAt(day(1, '01:15:00'))
  await service.tickAt(day(1, '01:30:00'))
  expect(imagesOf(world, id)).toMatchObject([{ status: 'active', tags: ['scheduled-images'] }])
  expect(eventTypes()).toEqual(['Scheduled Image Good'])
  expect(await stateOf(world, 'web-1')).not.toHaveProperty('problem')
})

test('createImage that never arrived is asked again once its lease is over, and makes one image', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'reset' })
  await service.tickAt(day(1))
  await service.tickAt(day(1, '01:05:00'))
  expect(imagesOf(world, id)).toEqual([])
  for (const time of ['01:15:00', '01:30:00', '01:45:00', '02:00:00']) await service.tickAt(day(1, time))
  expect(imagesOf(world, id)).toMatchObject([{ status: 'active' }])
  expect(eventTypes()).toEqual(['Scheduled Image Failed', 'Scheduled Image Started', 'Scheduled Image Good'])
})

test('case 23: a server in ERROR is reported, once a period, and the others go on', async () => {
  const { world, service } = fixture
  const broken = await scheduled(world, 'broken', { status: 'ERROR' })
  const web = await scheduled(world, 'web-1')
  await enable(service)
  await runDays(service, 1, 1)
  for (const hour of ['02', '04', '08', '12']) await service.tickAt(day(1, `${hour}:00:00`))
  expect(eventTypes().filter((type) => type === 'Scheduled Image Failed')).toHaveLength(1)
  expect(imagesOf(world, broken.id)).toEqual([])
  expect(imagesOf(world, web.id)).toHaveLength(1)
  expect((await stateOf(world, 'broken'))['problem']).toBe(
    'Server "broken" is in state ERROR, in which OpenStack makes no image; it has to be ACTIVE, SHUTOFF, PAUSED or SUSPENDED.',
  )
})

test('case 24, 37: a busy server is asked again at each tick, which is no failure; a stuck one is named with the remedy', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  world.openstack.setServer(id, { taskState: 'image_snapshot' })
  for (const time of ['01:00:00', '01:15:00', '01:30:00', '01:45:00']) expect(await service.snapshotAt('daily', day(1, time))).toMatchObject({ busy: 1, failed: 0 })
  expect(eventTypes()).toEqual([])
  expect(service.metrics).not.toHaveProperty('ImagesFailed')
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(/busy \(image_snapshot\)/)
  for (const time of ['02:00:00', '02:15:00', '02:30:00', '02:45:00', '03:00:00']) await service.snapshotAt('daily', day(1, time))
  expect(eventTypes()).toEqual(['Scheduled Image Failed'])
  expect(await stateOf(world, 'web-1')).toMatchObject({ next: '2026-11-01T03:59:00.000Z', problem: expect.stringMatching(/administrator has to reset its state/) as unknown })
  world.openstack.setServer(id, { taskState: null })
  expect(await service.snapshotAt('daily', day(1, '04:00:00'))).toMatchObject({ started: 1 })
})

test('case 24: a server that becomes busy after the listing is no failure either', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  world.openstack.fault({
    service: 'compute', method: 'POST', path: /action/, times: 1,
    then: { status: 409, body: { conflictingRequest: { code: 409, message: `Cannot 'createImage' instance ${id} while it is in task_state image_uploading` } } },
  })
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ busy: 1, failed: 0 })
  expect(await service.snapshotAt('daily', day(1, '01:15:00'))).toMatchObject({ started: 1 })
})

test('case 29: a used-up image quota is told as that, and nothing is deleted to make room', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  world.openstack.fault({
    service: 'compute', method: 'POST', path: /action/,
    then: { status: 500, body: { computeFault: { code: 500, message: "Unexpected API Error.\n<class 'glanceclient.exc.HTTPOverLimit'>" } } },
  })
  await service.tickAt(day(1))
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(/^The project's image quota/)
  expect(world.aws.events.at(-1)?.detail).toMatchObject({ reason: { code: 'QUOTA_IMAGES' } })
})

test("case 31: a used-up quota of volume snapshots is that server's problem alone", async () => {
  const { world, service } = fixture
  const poor = addCloud(world, 'poor', { snapshotQuota: 0 })
  const volumeBacked = world.openstack.addServer(poor, { name: 'db', volumeBacked: true })
  const plain = world.openstack.addServer(poor, { name: 'web' })
  for (const { id: server, name } of [volumeBacked, plain]) await world.putSchedule({ cadence: 'daily', schedule: name, server, retention: 1, spread: 0, cloud: 'poor' })
  await enable(service)
  await runDays(service, 1, 1)
  expect((await stateOf(world, 'db'))['problem']).toMatch(/^The project's quota of volume snapshots is used up/)
  expect(imagesOf(world, plain.id)).toHaveLength(1)
})

test('case 32: a server that is deleted between listing and request is that and no more', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await scheduled(world, 'web-2')
  await enable(service)
  world.openstack.fault({ service: 'compute', method: 'POST', path: new RegExp(id), then: { status: 404, body: { itemNotFound: { code: 404, message: `Instance ${id} could not be found.` } } } })
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ started: 1, failed: 1 })
  expect((await stateOf(world, 'web-1'))['problem']).toBe(`Server ${id} no longer exists; its images are kept.`)
})

test('case 35: a queued leftover of hours is removed once its server is idle, and the run is tried again', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', { metadata: { lab_fail: 'queued' } })
  await enable(service)
  await service.tickAt(day(1))
  await service.tickAt(day(1, '06:45:00'))
  expect(imagesOf(world, id)).toMatchObject([{ status: 'queued' }])
  world.openstack.setServer(id, { taskState: null, metadata: {} })
  await service.tickAt(day(1, '07:15:00'))
  expect(imagesOf(world, id)).toEqual([])
  for (const time of ['07:30:00', '07:45:00', '08:00:00']) await service.tickAt(day(1, time))
  expect(imagesOf(world, id)).toMatchObject([{ status: 'active' }])
})

test('case 16: while cinder-volume is down the image is not good, and no older one is deleted for it', async () => {
  const { world, service } = fixture
  const { id, volumeIds } = await scheduled(world, 'db-1', { volumeBacked: true }, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  for (const volume of volumeIds) world.openstack.setVolume(volume, { metadata: { lab_delay: '7200' } })
  await service.tickAt(day(2))
  await service.tickAt(day(2, '01:15:00'))
  await service.tickAt(day(2, '01:30:00'))
  expect(imagesOf(world, id)).toHaveLength(2)
  await service.tickAt(day(2, '03:30:00'))
  expect(imagesOf(world, id).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-02'])
  await service.tickAt(day(2, '03:45:00'))
  expect(world.openstack.snapshots()).toHaveLength(1)
})

test('a volume snapshot that failed makes the run fail, and nothing of it is left', async () => {
  const { world, service } = fixture
  const { id, volumeIds } = await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_fail: 'snapshot' } })
  await service.tickAt(day(1))
  await service.tickAt(day(1, '01:15:00'))
  await service.tickAt(day(1, '01:20:00'))
  expect(imagesOf(world, id)).toEqual([])
  expect(world.openstack.snapshots()).toEqual([])
  expect((await stateOf(world, 'db-1'))['problem']).toMatch(/cannot be restored: its volume snapshot .* is error/)
  expect((await world.runs()).filter(({ inFlight }) => inFlight)).toEqual([])
})

test('a cloud that is down is told of once, costs the others nothing, and is asked again', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  const repair = world.openstack.fault({ service: 'identity', then: { status: 503, headers: { 'Retry-After': '60' } } })
  for (const time of ['01:00:00', '01:15:00', '01:30:00']) await service.tickAt(day(1, time))
  expect(eventTypes()).toEqual(['Scheduled Image Failed'])
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(/^Keystone does not work at this moment \(503\)/)
  repair()
  await service.tickAt(day(1, '01:45:00'))
  await service.tickAt(day(1, '02:00:00'))
  expect(eventTypes()).toEqual(['Scheduled Image Failed', 'Scheduled Image Started', 'Scheduled Image Good'])
  expect(warnings().length).toBeGreaterThan(0)
})

test('an image that cannot be sealed is told of, and sealed once it can be', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  await service.tickAt(day(1))
  const repair = world.openstack.fault({ service: 'image', method: 'PATCH', then: { status: 403 } })
  await service.tickAt(day(1, '01:15:00'))
  await service.tickAt(day(1, '01:30:00'))
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(/^Marking image .* was answered 403/)
  expect(imagesOf(world, id)).toMatchObject([{ tags: [] }])
  repair()
  await service.tickAt(day(1, '01:45:00'))
  expect(imagesOf(world, id)).toMatchObject([{ tags: ['scheduled-images'] }])
  expect(await stateOf(world, 'web-1')).not.toHaveProperty('problem')
})

test('case 37: an image that is pending for hours while its server works on it is told of', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1', { metadata: { lab_delay: '86400' } })
  await enable(service)
  await service.tickAt(day(1))
  await service.tickAt(day(1, '09:00:00'))
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(
    /is not there after 8 hours: its status is queued\. The server is still working on it; if no image is being made, a cloud administrator has to reset/,
  )
})

test('a large image that becomes active between the listing and the look at its server is good, and not removed', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', { metadata: { lab_upload: '23400' } })
  await enable(service)
  await service.tickAt(day(1))
  world.setClock(day(1, '07:15:00'))
  // The upload ends while prune is at work: just before it asks for the server.
  const clockOf = world.openstack.fault({ service: 'compute', method: 'GET', path: new RegExp(`/servers/${id}$`), times: 1, then: { delayMs: 300 } })
  const pruned = service.prune({ now: new Date(day(1, '07:15:00')), timeLeftMs: () => 300_000 })
  await new Promise((resolve) => setTimeout(resolve, 150))
  world.setClock(day(1, '07:35:00'))
  expect(await pruned).toMatchObject({ good: 1, failed: 0 })
  clockOf()
  expect(imagesOf(world, id)).toMatchObject([{ status: 'active', tags: ['scheduled-images'] }])
})

test('a period that waited for the image before it is told of, and so is one in which the timers did not fire', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  await runDays(service, 1, 1)
  world.openstack.setServer(id, { metadata: { lab_delay: '180000' } })
  await runDays(service, 2, 3)
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(/^Image .* is not there after 24 hours/)
  world.openstack.setServer(id, { metadata: {} })
  for (const time of ['04:00:00', '04:15:00', '04:30:00']) await service.tickAt(day(4, time))
  await runDays(service, 6, 6)
  const missed = world.aws.events.filter(({ type }) => type === 'Scheduled Image Missed').map(({ detail }) => [detail['period'], (detail['reason'] as { code: string }).code])
  expect(missed).toEqual([['2026-11-03', 'NOT_ATTEMPTED'], ['2026-11-05', 'NOT_ATTEMPTED']])
  expect(imagesOf(world, id).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-02', '2026-11-04', '2026-11-06'])
})

test('the first run of a schedule that begins at once is missed as any other', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1', { status: 'ERROR' }, { onEnable: 'now' })
  await service.tickAt(day(1, '12:00:00'))
  await service.tickAt(day(2))
  expect(world.aws.events.filter(({ type }) => type === 'Scheduled Image Missed').map(({ detail }) => detail['period'])).toEqual(['2026-11-01'])
})

test('stuck servers do not keep the others of their cloud from their turn', async () => {
  const { world, service } = fixture
  for (let n = 0; n < 10; n += 1) await scheduled(world, `stuck-${n}`, { metadata: { lab_delay: '1000000' }, host: `compute-${n}` }, { at: '00:45' })
  const web = await scheduled(world, 'web-1')
  await enable(service)
  await service.tickAt(day(1, '00:45:00'))
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ waiting: 1 })
  expect(await service.snapshotAt('daily', day(1, '07:00:00'))).toMatchObject({ waiting: 0, started: 1 })
  await service.pruneAt(day(1, '07:15:00'))
  expect(imagesOf(world, web.id)).toHaveLength(1)
})

test('an outage that begins while images are being made is told of in their items, once by event, and forgotten when it ends', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  await service.snapshotAt('daily', day(1))
  const repair = world.openstack.fault({ service: 'image', then: { status: 503 } })
  for (const time of ['01:15:00', '01:30:00', '01:45:00']) await service.tickAt(day(1, time))
  expect((await stateOf(world, 'web-1'))['problem']).toMatch(/^Listing images was answered 503/)
  expect(eventTypes().filter((type) => type === 'Scheduled Image Failed')).toHaveLength(1)
  repair()
  await service.tickAt(day(1, '02:00:00'))
  expect(await stateOf(world, 'web-1')).not.toHaveProperty('problem')
})

test('a volume-backed image that a person hides while it is being made is settled all the same', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  await service.snapshotAt('daily', day(1))
  world.setClock(day(1, '01:05:00'))
  await personIn(world).image('PATCH', imagesOf(world, id)[0]!.id, [{ op: 'replace', path: '/os_hidden', value: true }])
  expect(await service.pruneAt(day(1, '01:15:00'))).toMatchObject({ good: 1 })
})

test('a schedule that gives its server by name keeps account of the periods that an outage takes', async () => {
  const { world, service } = fixture
  await scheduled(world, 'by-name', {}, { server: 'by-name' })
  await enable(service)
  await runDays(service, 1, 1)
  const repair = world.openstack.fault({ service: 'identity', then: { status: 503 } })
  await runDays(service, 2, 2)
  repair()
  await runDays(service, 3, 3)
  expect(world.aws.events.filter(({ type }) => type === 'Scheduled Image Missed').map(({ detail }) => detail['period'])).toEqual(['2026-11-02'])
})

test('a catalog with something that is no URL is that problem, and a failed run', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1')
  await enable(service)
  const catalog = ['compute', 'image', 'volumev3'].map((type) => ({ type, endpoints: [{ interface: 'public', region_id: 'RegionOne', url: 'not a url' }] }))
  const token = { expires_at: '2026-11-02T00:00:00Z', project: { id: world.project.id }, catalog }
  world.openstack.fault({ service: 'identity', method: 'POST', then: { body: { token } } })
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ failed: 1, faults: 0 })
  expect((await stateOf(world, 'web-1'))['problem']).toBe("The catalog's URL of the compute service is not one; set an endpoint override.")
})
