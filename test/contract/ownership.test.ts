import { expect, test } from 'vitest'
import type { Api, Json } from './api.ts'
import { cloudUnderTest } from './harness.ts'
import { enter, period, useService } from './service.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()
const deploy = useService(cloud)

const periodsOf = (images: readonly { properties: Readonly<Record<string, string>> }[]) => images.map(({ properties }) => properties['scheduled_images__period'])
const statusOf = async (image: string): Promise<string> => (await cloud.image(image))?.['status'] ?? 'gone'
const shelvedImage = async (label: string): Promise<string> => (await api.request('image', 'GET', `/v2/images?name=${cloud.name(label)}-shelved`)).json['images'][0]['id']

async function shelve(server: string): Promise<void> {
  expect((await api.action(server, { shelve: null })).status).toBe(202)
  await cloud.untilServer(server, 'SHELVED_OFFLOADED')
}

/** A whole image of somebody else's, dressed up as one of ours, its seal included. */
async function lookalike(of: Api, label: string, server: string, visibility: string): Promise<string> {
  const properties = { 'org.openstack__1__created_by': 'scheduled_images_service', instance_uuid: server, scheduled_images__schedule: 'daily/web', scheduled_images__period: '2020-01-01' }
  const made = await of.request('image', 'POST', '/v2/images', { body: { name: cloud.name(label), disk_format: 'raw', container_format: 'bare', visibility, ...properties } })
  expect(made.status).toBe(201)
  const id: string = made.json['id']
  const stored = await of.request('image', 'PUT', `/v2/images/${id}/file`, { body: '0000', headers: { 'content-type': 'application/octet-stream' } })
  expect(stored.status).toBe(204)
  expect((await of.patch(id, [{ op: 'add', path: '/scheduled_images__image', value: id }])).status).toBe(200)
  return id
}

test("case 1, 2, 3, 4: a person's images and shelve's stay, of a server restored or rebuilt from one of ours too", async () => {
  const service = await deploy()
  const [web, idle] = await Promise.all([cloud.boot({ label: 'web' }), cloud.boot({ label: 'idle' })])
  await shelve(idle)
  await service.putSchedule('web', web)
  await service.putSchedule('idle', idle)
  await service.snapshot(1)
  await service.good(1, 'web')
  const ours = (await service.state('web')).lastGood!.image

  const restored = await cloud.boot({ label: 'restored', image: ours })
  expect((await api.action(web, { rebuild: { imageRef: ours } })).status).toBe(202)
  await cloud.untilServer(web, 'ACTIVE')
  const byHand = [await cloud.snapshot(restored, 'of-restored'), await cloud.snapshot(web, 'of-rebuilt')]
  for (const [n, image] of byHand.entries()) {
    expect(await cloud.finished(image, n === 0 ? restored : web)).toMatchObject({ 'org.openstack__1__created_by': 'scheduled_images_service', scheduled_images__image: ours })
  }
  await shelve(restored)
  const shelved = [await shelvedImage('restored'), await shelvedImage('idle')]

  for (const n of [2, 3]) {
    await service.snapshot(n)
    await service.good(n, 'web')
  }
  expect(periodsOf(await service.images(web))).toEqual([period(3)])
  expect(await statusOf(ours)).toBe('gone')
  expect(await Promise.all([...byHand, ...shelved].map(statusOf))).toEqual(['active', 'active', 'active', 'active'])
  await api.action(restored, { unshelve: null })
  await cloud.untilServer(restored, 'ACTIVE')
})

test('case 5: images of a server restored from a volume-backed image of ours claim its source, and do not count as its own', async () => {
  const service = await deploy()
  const db = await cloud.boot({ label: 'db', volumeBacked: true })
  await service.putSchedule('db', db)
  await service.snapshot(1)
  await service.good(1, 'db')
  const restored = await cloud.boot({ label: 'db-restored', image: (await service.state('db')).lastGood!.image, flavor: 'lab.nodisk' })
  const byHand = await cloud.snapshot(restored, 'of-db-restored')
  expect(await cloud.image(byHand)).toMatchObject({ instance_uuid: db, scheduled_images__schedule: 'daily/db' })

  await service.snapshot(2)
  await service.good(2, 'db')
  expect(periodsOf(await service.images(db))).toEqual([period(2)])
  expect(await statusOf(byHand)).toBe('active')
  const [part] = JSON.parse((await cloud.image(byHand))?.['block_device_mapping']) as Json[]
  expect((await (await enter(cloud.entry())).blockStorage.listSnapshots()).get(part?.['snapshot_id'])?.status).toBe('available')
})

test.skipIf(!cloud.has('admin') || !cloud.has('beta'))('case 6, 7, 8: images of other projects are neither counted nor deleted, be they public, shared with ours, or seen by an administrator', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'coveted' })
  const [admin, beta] = [await cloud.api('admin'), await cloud.api('beta')]
  const published = await lookalike(admin, 'public', web, 'public')
  const shared = await lookalike(beta, 'shared', web, 'shared')
  await beta.request('image', 'POST', `/v2/images/${shared}/members`, { body: { member: api.projectId } })
  await api.request('image', 'PUT', `/v2/images/${shared}/members/${api.projectId}`, { body: { status: 'accepted' } })
  const listed: Json[] = (await api.request('image', 'GET', `/v2/images?limit=1000&instance_uuid=${web}`)).json['images']
  expect(listed.map(({ id }) => id).toSorted()).toEqual([published, shared].toSorted())

  await service.putSchedule('web', web)
  for (const n of [1, 2]) {
    await service.snapshot(n)
    await service.good(n, 'web')
  }
  expect(periodsOf(await service.images(web))).toEqual([period(2)])
  expect(await Promise.all([published, shared].map(statusOf))).toEqual(['active', 'active'])
  expect(service.lines.filter((line) => line.startsWith('not deleted'))).toEqual([])

  // Glance shows an administrator the images of every project; our client asks for those of one.
  const all: Json[] = (await admin.request('image', 'GET', `/v2/images?limit=1000&instance_uuid=${web}`)).json['images']
  expect(all).toHaveLength(3)
  const entered = await enter(cloud.entry('admin'))
  expect((await entered.image.listImages({ owner: entered.project, properties: { instance_uuid: web } })).map(({ id }) => id)).toEqual([published])
})

test("case 11: a person's backups stay, and Nova's rotation of them does not delete ours", async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'backed-up' })
  await service.putSchedule('web', web, { retention: 2 })
  const backup = async (label: string): Promise<string> => {
    const reply = await api.action(web, { createBackup: { name: cloud.name(label), backup_type: 'daily', rotation: 1 } }, '2.45')
    expect(reply.status).toBe(202)
    await cloud.finished(reply.json['image_id'], web)
    return reply.json['image_id']
  }
  const first = await backup('backup-1')
  for (const n of [1, 2]) {
    await service.snapshot(n)
    await service.good(n, 'web')
  }
  const second = await backup('backup-2')
  await cloud.until(() => statusOf(first), (status) => status === 'gone')
  expect(periodsOf(await service.images(web))).toEqual([period(1), period(2)])

  await cloud.untilServer(web, 'ACTIVE')
  await service.snapshot(3)
  await service.good(3, 'web')
  expect(periodsOf(await service.images(web))).toEqual([period(2), period(3)])
  expect(await statusOf(second)).toBe('active')
})

test('case 12, 13: an image of ours that a person protects or hides is kept, and takes no place', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'kept' })
  await service.putSchedule('web', web)
  const kept: string[] = []
  const days = { 1: ['/protected', true], 2: ['/os_hidden', true], 3: undefined, 4: undefined } as const
  for (const [n, change] of Object.entries(days)) {
    await service.snapshot(Number(n))
    await service.good(Number(n), 'web')
    const { image } = (await service.state('web')).lastGood!
    if (!change) continue
    kept.push(image)
    expect((await api.patch(image, [{ op: 'replace', path: change[0], value: change[1] }])).status).toBe(200)
  }
  expect(await Promise.all(kept.map(statusOf))).toEqual(['active', 'active'])
  expect(periodsOf(await service.images(web))).toEqual([period(1), period(4)])
})
