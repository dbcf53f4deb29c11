import { expect, test } from 'vitest'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled, stateOf } from '../support/scene.ts'
import { serviceIn } from '../support/service.ts'

const fixture = useWorld()

const periodsOf = (server: string) => imagesOf(fixture.world, server).map(({ properties }) => properties['scheduled_images__period'])

test('case 40: a function that is killed while its image is being made leaves one image, which the next settles', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', { metadata: { lab_delay: '1200' } })
  await enable(service)
  // It dies with the request on its way: nothing that comes after it is written down.
  world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'lose-answer' })
  await service.snapshotAt('daily', day(1))
  expect(imagesOf(world, id)).toMatchObject([{ status: 'queued' }])

  const next = serviceIn(world)
  for (const time of ['01:05:00', '01:15:00']) {
    expect(await next.snapshotAt('daily', day(1, time))).toMatchObject({ started: 0, notDue: 1 })
    expect(await next.pruneAt(day(1, time))).toMatchObject({ good: 0, failed: 0, deleted: 0 })
  }
  expect(await next.pruneAt(day(1, '01:30:00'))).toMatchObject({ good: 1 })
  expect(imagesOf(world, id)).toMatchObject([{ status: 'active', tags: ['scheduled-images'] }])
})

test('case 10: a Glance whose filters find nothing, or everything, has no run taken for failed, and no image for ours', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 1 })
  const stranger = world.openstack.addImage(world.project, { name: 'golden', properties: { instance_uuid: id }, createdAt: new Date('2020-01-01') })
  await enable(service)
  await runDays(service, 1, 1)

  const blind = world.openstack.fault({ service: 'image', method: 'GET', path: /\/images\?/, then: { body: { images: [] } } })
  await service.tickAt(day(2))
  expect(await service.pruneAt(day(2, '01:15:00'))).toMatchObject({ failed: 0, deleted: 0 })
  expect(periodsOf(id)).toEqual(expect.arrayContaining(['2026-11-01', '2026-11-02']))
  blind()

  const everything = world.openstack.images().map((image) => ({
    ...image.properties, id: image.id, name: image.name, status: image.status, owner: image.owner, created_at: image.createdAt.toISOString(), protected: false, visibility: image.visibility, size: image.size, tags: image.tags,
  }))
  const deaf = world.openstack.fault({ service: 'image', method: 'GET', path: /\/images\?/, then: { body: { images: everything } } })
  await runDays(service, 3, 3)
  deaf()
  expect(await stateOf(world, 'web-1')).toMatchObject({ lastGood: { period: '2026-11-03' } })
  expect(world.openstack.images().map(({ name }) => name)).toEqual(expect.arrayContaining([stranger.name, 'cirros-lab']))
  await runDays(service, 4, 4)
  expect(periodsOf(id)).toEqual([undefined, '2026-11-04'])
})

test('case 49: a volume snapshot that is gone by the time its image is pruned does not keep the image', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true, dataVolumes: 1 }, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  const [first] = world.openstack.snapshots()
  world.openstack.fault({ service: 'block-storage', method: 'DELETE', path: new RegExp(first!.id), times: 1, then: { status: 404, body: { itemNotFound: { code: 404, message: 'gone' } } } })
  await service.tickAt(day(2))
  expect(await service.pruneAt(day(2, '01:15:00'))).toMatchObject({ deleted: 1, left: 0, faults: 0 })
  expect(periodsOf(id)).toEqual(['2026-11-02'])
  expect(service.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
})

test('case 61, 62: servers are listed without a filter, and of the own project only', async () => {
  const { world, service } = fixture
  await scheduled(world, 'web-1', {}, { server: 'web-1' })
  world.openstack.addServer(world.project, { name: 'my-web-10' })
  await enable(service)
  await runDays(service, 1, 1)
  const listings = world.openstack.requests.filter(({ service: of, method, path }) => of === 'compute' && method === 'GET' && path.includes('/servers'))
  expect([...new Set(listings.map(({ path }) => path.replace(/^\/v2\.1/, '')))]).toEqual(['/servers/detail?limit=1000'])
  expect(world.openstack.images().filter(({ name }) => name?.startsWith('Daily-')).map(({ name }) => name!.replace(/\d{10}$/, ''))).toEqual(['Daily-web-1-'])
})
