import { expect, test } from 'vitest'
import { personIn } from '../../demo/person.ts'
import { mapping } from '../support/builders.ts'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled, stateOf } from '../support/scene.ts'
import { serviceIn } from '../support/service.ts'

const fixture = useWorld({ quotas: { imageQuota: 5 } })

const at = (time: string, n = 1) => fixture.service.tickAt(day(n, `${time}:00`))
const recordsOf = async (kind: string) => (await fixture.world.runs()).filter(({ run }) => String(run).startsWith(`${kind}#`))
const snapshotIds = () => fixture.world.openstack.snapshots().map(({ id }) => id)
const askedForImages = () => fixture.world.openstack.requests.filter(({ action }) => action === 'createImage').length
const failures = () => fixture.world.aws.events.filter(({ type }) => type === 'Scheduled Image Failed').map(({ detail }) => (detail['reason'] as { code: string }).code)

/** Uses up the image quota. @returns what gives it back. */
function fillQuota(): () => void {
  const { openstack, project } = fixture.world
  const images = [1, 2, 3, 4, 5].map((n) => openstack.addImage(project, { name: `by-hand-${n}` }))
  return () => images.forEach(({ id }) => openstack.remove(id))
}

/** Makes Glance's listings show nothing. @returns what ends that. */
function hideImages(): () => void {
  const nothing = { images: [], first: '/v2/images', schema: '/v2/schemas/images' }
  return fixture.world.openstack.fault({ service: 'image', method: 'GET', path: /\/images\?/, then: { body: nothing } })
}

test('case 29: a used-up image quota is told once and tried hourly, and what Nova leaves in Cinder each time is cleaned up', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 })
  await enable(service)
  const giveBack = fillQuota()
  await at('01:00')
  expect(await stateOf(world, 'db-1')).toMatchObject({ problem: expect.stringMatching(/^The project's image quota/) as unknown, next: '2026-11-01T01:59:00.000Z' })
  expect(world.openstack.snapshots()).toHaveLength(2)
  await at('01:15')
  await at('01:30')
  expect(world.openstack.snapshots()).toEqual([])
  expect(await recordsOf('sweep')).toHaveLength(1)
  await at('01:45')
  expect(askedForImages()).toBe(1)

  await at('02:00')
  expect([askedForImages(), world.openstack.snapshots().length, (await recordsOf('sweep')).length]).toEqual([2, 2, 1])
  await at('02:15')
  giveBack()
  for (const time of ['02:30', '02:45']) await at(time)
  expect([askedForImages(), world.openstack.snapshots().length]).toEqual([2, 0])
  for (const time of ['03:00', '03:15', '03:30']) await at(time)
  expect([askedForImages(), world.openstack.snapshots().length, (await recordsOf('sweep')).length]).toEqual([3, 2, 0])
  expect(world.openstack.images().filter(({ tags }) => tags.includes('scheduled-images'))).toHaveLength(1)
  expect(failures()).toEqual(['QUOTA_IMAGES'])
  expect(await stateOf(world, 'db-1')).not.toHaveProperty('problem')
  expect(imagesOf(world, id)).toHaveLength(1)
})

test('of what is named like a leftover, a snapshot of another volume stays, and one that any image names', async () => {
  const { world, service } = fixture
  const { openstack, project } = world
  const db = await scheduled(world, 'db-1', { volumeBacked: true })
  const other = openstack.addServer(project, { name: 'other', volumeBacked: true })
  await enable(service)
  const giveBack = fillQuota()
  await at('01:00')
  const [left] = openstack.snapshots()
  const person = personIn(world)
  const ofAnotherVolume = await person.snapshot(other.volumeIds[0]!, left!.name)
  const ofAnotherName = await person.snapshot(db.volumeIds[0]!, 'before the migration')
  const [named, hidden, garbled] = [await person.snapshot(db.volumeIds[0]!, left!.name), await person.snapshot(db.volumeIds[0]!, left!.name), await person.snapshot(db.volumeIds[0]!, left!.name)]
  openstack.addImage(project, { name: 'by-hand', properties: mapping(named) })
  openstack.addImage(project, { name: 'hidden', hidden: true, properties: mapping(hidden) })
  openstack.addImage(project, { name: 'garbled', properties: { block_device_mapping: `[{"snapshot_id": "${garbled}"` } })
  await at('01:15')
  giveBack()
  for (const time of ['01:30', '01:45', '02:00', '02:15', '02:30']) await at(time)
  expect(snapshotIds()).toEqual(expect.arrayContaining([ofAnotherVolume, ofAnotherName, named, hidden, garbled]))
  expect(snapshotIds()).not.toContain(left!.id)
  expect(await recordsOf('sweep')).toEqual([])
})

test('while Cinder or the listing of images is away, nothing is taken for left behind, and nothing is forgotten', async () => {
  const { world, service } = fixture
  const { openstack } = world
  await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  const giveBack = fillQuota()
  await at('01:00')
  giveBack()
  let repair = openstack.fault({ service: 'block-storage', method: 'GET', path: /snapshots/, then: { status: 503 } })
  for (const time of ['01:15', '02:00', '02:15']) await at(time)
  repair()
  // The listing of marked images is answered, and that of all of them is not.
  repair = openstack.fault({ service: 'image', method: 'GET', path: /\/images\?(?!.*created_by)/, then: { status: 503 } })
  await at('02:30')
  expect([openstack.snapshots().length, (await recordsOf('sweep')).length]).toEqual([2, 1])
  repair()
  for (const time of ['02:45', '02:55']) await at(time)
  expect([openstack.snapshots().length, (await recordsOf('sweep')).length]).toEqual([1, 0])
  expect(openstack.images().find(({ name }) => name?.startsWith('Daily-'))?.properties['block_device_mapping']).toContain(snapshotIds()[0])
})

test('case 48: a snapshot left behind that Cinder fails to delete is asked for again each day', async () => {
  const { world, service } = fixture
  const { openstack } = world
  const { volumeIds } = await scheduled(world, 'db-1', { volumeBacked: true }, { retention: 1 })
  await enable(service)
  const giveBack = fillQuota()
  await at('01:00')
  giveBack()
  const [left] = snapshotIds()
  openstack.setVolume(volumeIds[0]!, { metadata: { lab_fail: 'delete_snapshot' } })
  for (const time of ['01:15', '01:30', '02:00', '02:15', '02:30', '12:00']) await at(time)
  expect(snapshotIds()).toContain(left)
  openstack.setVolume(volumeIds[0]!, { metadata: {} })
  await runDays(service, 2, 3)
  expect(snapshotIds()).not.toContain(left)
  await runDays(service, 4, 4)
  expect(await recordsOf('sweep')).toEqual([])
})

test('when Glance is away, the image is asked for again after its return, and what Nova left in Cinder is cleaned up', async () => {
  const { world, service } = fixture
  const { openstack } = world
  await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 })
  await enable(service)
  const start = openstack.stop('glance')
  await at('01:00')
  expect(await stateOf(world, 'db-1')).toMatchObject({ problem: expect.stringMatching(/^Nova may or may not have begun the image/) as unknown })
  const left = snapshotIds()
  expect(left).toHaveLength(2)
  await at('01:15')
  expect(snapshotIds()).toEqual(left)
  start()
  for (const time of ['01:30', '01:45', '02:00', '02:15']) await at(time)
  const kept = snapshotIds()
  expect(kept).toHaveLength(2)
  for (const id of left) expect(kept).not.toContain(id)
  expect([askedForImages(), await recordsOf('sweep')]).toMatchObject([2, []])
  expect(openstack.images().filter(({ tags }) => tags.includes('scheduled-images'))).toHaveLength(1)
  expect(await stateOf(world, 'db-1')).not.toHaveProperty('problem')
})

test.each([['web-1', false], ['db-1', true]])('case 27: an image that turns up after its run was given up is gone on with, and no second one is made: %s', async (name, volumeBacked) => {
  const { world, service } = fixture
  const { openstack } = world
  await scheduled(world, name, { volumeBacked })
  await enable(service)
  openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'lose-answer' })
  const show = hideImages()
  await at('01:00')
  await at('01:15')
  expect((await world.runs()).find(({ run }) => run === `2026-11-01#daily/${name}`)).toMatchObject({ status: 'failed', problem: { code: 'ANSWER_LOST' }, retryAt: '2026-11-01T01:44:00.000Z' })
  expect(await recordsOf('sweep')).toHaveLength(1)
  if (!volumeBacked) await at('01:30')
  show()
  for (const time of ['01:40', '01:45', '02:00', '02:15']) await at(time)
  expect([askedForImages(), await recordsOf('sweep')]).toEqual([1, []])
  expect(openstack.images().filter((image) => image.name?.startsWith('Daily-'))).toMatchObject([{ status: 'active', tags: ['scheduled-images'] }])
  expect(openstack.snapshots()).toHaveLength(volumeBacked ? 1 : 0)
  expect(world.aws.events.map(({ type }) => type)).toEqual(['Scheduled Image Failed', 'Scheduled Image Good'])
  expect(await stateOf(world, name)).toMatchObject({ lastGood: { period: '2026-11-01' } })
  expect(await stateOf(world, name)).not.toHaveProperty('problem')
})

test('an image that turned up is looked for before it is asked for again, though every prune since has died', async () => {
  const { world, service } = fixture
  const { openstack } = world
  await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'lose-answer' })
  const show = hideImages()
  await at('01:00')
  await at('01:15')
  show()
  await service.snapshotAt('daily', day(1, '01:45:00'))
  for (const time of ['02:00', '02:15']) await at(time)
  expect(askedForImages()).toBe(1)
  expect(openstack.images().filter((image) => image.name?.startsWith('Daily-'))).toMatchObject([{ status: 'active', tags: ['scheduled-images'] }])
  expect(openstack.snapshots()).toHaveLength(1)
})

test('an image that turns up when another attempt has taken its place is told of once, and left alone', async () => {
  const { world, service } = fixture
  const { openstack } = world
  const { id } = await scheduled(world, 'web-1', {}, { retention: 1 })
  await enable(service)
  openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'lose-answer' })
  const show = hideImages()
  for (const time of ['01:00', '01:15', '01:30', '01:45', '01:50']) await at(time)
  const [late, second] = imagesOf(world, id)
  expect(second).toMatchObject({ tags: ['scheduled-images'] })
  show()
  for (const time of ['02:00', '02:15', '02:30']) await at(time)
  await runDays(service, 2, 3)
  expect(service.lines.filter(({ image, level }) => level === 'warn' && image === late!.id)).toMatchObject([
    { message: `image ${late!.id} came of an attempt that another one has replaced; it is neither counted nor deleted. Delete it if it is not wanted.` },
  ])
  expect(imagesOf(world, id).map((image) => [image.id === late!.id, image.tags.length])).toEqual([[true, 0], [false, 1]])
  expect(await recordsOf('sweep')).toEqual([])
})

test('of two requests at once for one server, the image that Nova refused too late is removed, and asked for again', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  const message = "Unexpected API Error. Please report this.\n<class 'nova.exception.UnexpectedTaskStateError'>"
  world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: { status: 500, body: { computeFault: { code: 500, message } } } })
  expect(await service.snapshotAt('daily', day(1))).toMatchObject({ busy: 1, failed: 0 })
  const run = (await world.runs()).find(({ status }) => status === 'failed')
  const queued = world.openstack.addImage(world.project, {
    name: String(run!['imageName']), status: 'queued',
    properties: { 'org.openstack__1__created_by': 'scheduled_images_service', instance_uuid: id, scheduled_images__run: String(run!['runId']), scheduled_images__schedule: 'daily/web-1', scheduled_images__period: '2026-11-01' },
  })
  for (const time of ['01:15', '01:30', '01:45']) await at(time)
  expect(imagesOf(world, id).map(({ status, tags }) => [status, tags])).toEqual([['active', ['scheduled-images']]])
  expect(imagesOf(world, id)[0]!.id).not.toBe(queued.id)
  for (const time of ['02:00', '02:15']) await at(time)
  expect((await world.runs()).filter((record) => 'inFlight' in record)).toEqual([])
  expect(failures()).toEqual([])
})

test('an attempt that failed for an image that a person has deactivated is told of once, and not taken up again', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  await service.tickAt(day(1))
  world.setClock(day(1, '01:10:00'))
  const person = personIn(world)
  await person.image('POST', `${imagesOf(world, id)[0]!.id}/actions/deactivate`)
  for (const time of ['01:15:00', '01:30:00', '01:45:00', '02:00:00', '02:15:00', '02:30:00', '02:45:00']) {
    await service.pruneAt(day(1, time))
    await service.snapshotAt('daily', day(1, time))
  }
  expect(service.lines.filter(({ message }) => message.includes('is there after all'))).toEqual([])
  expect(world.aws.events.filter(({ type }) => type === 'Scheduled Image Failed')).toHaveLength(1)
  expect(imagesOf(world, id).filter(({ status }) => status === 'active')).toHaveLength(1)
})

test('a volume snapshot of a failed attempt that another image names stays with that image', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 })
  await enable(service)
  await service.snapshotAt('daily', day(1))
  world.openstack.addImage(world.project, { name: 'copy', properties: { block_device_mapping: imagesOf(world, id)[0]!.properties['block_device_mapping']! } })
  world.setClock(day(1, '01:10:00'))
  world.openstack.setSnapshot(world.openstack.snapshots()[1]!.id, { status: 'error' })
  for (const time of ['01:15:00', '01:30:00']) await service.pruneAt(day(1, time))
  expect([imagesOf(world, id).length, world.openstack.snapshots().length]).toEqual([0, 2])
})

test('a leftover whose deletion is refused is tried again', async () => {
  const { world, service } = fixture
  const { id, volumeIds } = await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  world.openstack.setVolume(volumeIds[0]!, { metadata: { lab_fail: 'snapshot' } })
  await service.snapshotAt('daily', day(1))
  world.openstack.fault({ service: 'image', method: 'DELETE', times: 1, then: { status: 403 } })
  for (const time of ['01:15:00', '01:30:00', '01:45:00']) await service.pruneAt(day(1, time))
  expect([imagesOf(world, id).length, world.openstack.snapshots().length, (await recordsOf('deletion')).length]).toEqual([0, 0, 0])
})

test('MAX_DELETES=0 keeps what a failed attempt left in Cinder as well', async () => {
  const { world, service } = fixture
  await scheduled(world, 'db-1', { volumeBacked: true })
  await enable(service)
  fillQuota()
  await service.snapshotAt('daily', day(1))
  for (const time of ['01:15:00', '01:30:00']) await serviceIn(world, { MAX_DELETES: '0' }).pruneAt(day(1, time))
  expect(world.openstack.snapshots()).toHaveLength(1)
})
