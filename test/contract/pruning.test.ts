import { describe, expect, test } from 'vitest'
import type { Json } from './api.ts'
import { cloudUnderTest } from './harness.ts'
import { enter, period, useService } from './service.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()
const mine = await enter(cloud.entry())
const deploy = useService(cloud)

const periodsOf = (images: readonly { properties: Readonly<Record<string, string>> }[]) => images.map(({ properties }) => properties['scheduled_images__period'])
const volumesOf = async (server: string): Promise<string[]> => (await cloud.server(server))['os-extended-volumes:volumes_attached'].map(({ id }: Json) => id)
const partsOf = async (image: string): Promise<string[]> => (JSON.parse((await cloud.image(image))?.['block_device_mapping']) as Json[]).map((part) => part['snapshot_id'])
const turnVolume = (volume: string, metadata: Json) => api.request('block-storage', 'PUT', `/volumes/${volume}/metadata`, { body: { metadata } })

test('case 47: with a volume-backed image go its own volume snapshots, and no others', async () => {
  const service = await deploy()
  const db = await cloud.boot({ label: 'db', volumeBacked: true, dataVolumes: 1 })
  const byHand = await partsOf(await cloud.snapshot(db, 'by-hand'))
  await service.putSchedule('db', db)
  await service.snapshot(1)
  await service.good(1, 'db')
  const ours = await partsOf((await service.state('db')).lastGood!.image)
  expect(ours).toHaveLength(2)

  await service.snapshot(2)
  await service.good(2, 'db')
  const left = await cloud.until(() => mine.blockStorage.listSnapshots(), (statuses) => ours.every((part) => !statuses.has(part)))
  expect(byHand.map((part) => left.get(part)?.status)).toEqual(['available', 'available'])
  expect((await partsOf((await service.state('db')).lastGood!.image)).map((part) => left.get(part)?.status)).toEqual(['available', 'available'])
})

test.skipIf(!cloud.knobs)('case 48: a volume snapshot that Cinder accepts to delete and then keeps is told of, and deleted later, though its image is gone', async () => {
  const service = await deploy()
  const db = await cloud.boot({ label: 'clinging', volumeBacked: true })
  const [root] = await volumesOf(db)
  await service.putSchedule('db', db)
  await service.snapshot(1)
  await service.good(1, 'db')
  const first = (await service.state('db')).lastGood!.image
  const [part] = await partsOf(first)

  await turnVolume(root!, { lab_fail: 'delete_snapshot' })
  await service.snapshot(2)
  await service.good(2, 'db')
  const kept = () => cloud.until(() => mine.blockStorage.listSnapshots(), (snapshots) => snapshots.get(part!)?.status === 'available')
  await kept()
  expect(await cloud.image(first)).toBeUndefined()
  expect(await service.prune(2)).toMatchObject({ left: 1 })
  expect(service.lines.filter((line) => line.startsWith(`volume snapshot ${part} of a deleted image is still there (available)`)).length).toBeGreaterThan(0)
  await kept()

  await turnVolume(root!, {})
  await cloud.until(async () => {
    await service.prune(2)
    return mine.blockStorage.listSnapshots()
  }, (statuses) => !statuses.has(part!))
})

test('case 49: an image whose volume snapshot somebody deleted is not good, takes no place, and stops no other', async () => {
  const service = await deploy()
  const db = await cloud.boot({ label: 'hollow', volumeBacked: true })
  await service.putSchedule('db', db)
  await service.snapshot(1)
  await service.good(1, 'db')
  await service.snapshot(2)
  await cloud.until(() => service.prune(2), ({ good }) => good === 1)
  const [part] = await partsOf((await service.state('db')).lastGood!.image)
  expect(await mine.blockStorage.deleteSnapshot(part!)).toBe(true)
  await cloud.until(() => mine.blockStorage.listSnapshots(), (statuses) => !statuses.has(part!))
  for (const n of [3, 4]) {
    await service.snapshot(n)
    await service.good(n, 'db')
  }
  expect(periodsOf(await service.images(db))).toEqual([period(2), period(4)])
})

test('case 50: the images of a server that was deleted are kept', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'doomed' })
  const other = await cloud.boot({ label: 'other' })
  await service.putSchedule('web', web, { retention: 2 })
  await service.putSchedule('other', other)
  for (const n of [1, 2]) {
    await service.snapshot(n)
    await service.good(n, 'web', 'other')
  }
  await cloud.deleteServer(web)
  for (const n of [3, 4]) {
    expect(await service.snapshot(n)).toMatchObject({ started: 1, faults: 0 })
    await service.good(n, 'other')
  }
  expect((await service.state('web')).problem).toMatch(/^Server .* does not exist .*; its images are kept/)
  expect(periodsOf(await service.images(web))).toEqual([period(1), period(2)])
})

test.skipIf(!cloud.knobs)('case 41, 51: while an image is saving, neither it nor the good one before it is touched', async () => {
  const service = await deploy()
  const [web, quick] = await Promise.all([cloud.boot({ label: 'slow' }), cloud.boot({ label: 'quick' })])
  await service.putSchedule('web', web)
  await service.putSchedule('quick', quick)
  await service.snapshot(1)
  await service.good(1, 'web', 'quick')
  await api.request('compute', 'PUT', `/servers/${web}/metadata`, { body: { metadata: { lab_upload: '12' } } })
  await service.snapshot(2)
  const id = await service.saving(web)
  await cloud.until(() => cloud.image(id), (image) => image?.['status'] === 'saving')
  // The other server's good image has this cloud's images pruned.
  await service.good(2, 'quick')
  expect((await cloud.image(id))?.['status']).toBe('saving')
  expect(periodsOf(await service.images(quick))).toEqual([period(2)])
  expect(periodsOf(await service.images(web))).toEqual([period(1)])

  await service.good(2, 'web')
  expect(periodsOf(await service.images(web))).toEqual([period(2)])
})

test('case 52: a mapping that names a volume by hand has no volume deleted, and the image kept', async () => {
  const service = await deploy()
  const db = await cloud.boot({ label: 'rewritten', volumeBacked: true })
  const [volume] = await volumesOf(db)
  await service.putSchedule('db', db)
  await service.snapshot(1)
  await service.good(1, 'db')
  const { image } = (await service.state('db')).lastGood!
  const parts = await partsOf(image)
  const mapping = JSON.stringify([{ source_type: 'volume', destination_type: 'volume', boot_index: 0, volume_id: volume }])
  expect((await api.patch(image, [{ op: 'replace', path: '/block_device_mapping', value: mapping }])).status).toBe(200)
  await service.snapshot(2)
  await service.good(2, 'db')
  expect(periodsOf(await service.images(db))).toEqual([period(1), period(2)])
  expect((await api.request('block-storage', 'GET', `/volumes/${volume}`)).json['volume']).toMatchObject({ status: 'in-use' })
  // Nothing names the snapshots any more but the test.
  for (const part of parts) await mine.blockStorage.deleteSnapshot(part)
})

describe.skipIf(!cloud.has('alpha-appcred'))('credentials', () => {
  test('case 55: an application credential that is deleted in mid-run ends the run, told as that, and nothing is deleted', async () => {
    const service = await deploy()
    const web = await cloud.boot({ label: 'locked-out' })
    const path = `/users/${api.issued['user']['id']}/application_credentials`
    const made = await api.request('identity', 'POST', path, { body: { application_credential: { name: cloud.name('appcred'), secret: 'short-lived', roles: [{ name: 'member' }] } } })
    const credential = made.json['application_credential']
    const { auth_url } = cloud.entry().auth
    const doomed = {
      auth_type: 'v3applicationcredential', region_name: cloud.entry().region_name,
      auth: { auth_url: auth_url!, application_credential_id: credential['id'], application_credential_secret: credential['secret'] },
    }
    service.putCloud('doomed', doomed)
    await service.putSchedule('web', web, { cloud: 'doomed' })
    await service.snapshot(1)
    await service.good(1, 'web')
    await service.snapshot(2)
    await cloud.finished(await service.saving(web), web)

    expect((await api.request('identity', 'DELETE', `${path}/${credential['id']}`)).status).toBe(204)
    // A real Glance remembers for minutes the token that Nova gave it: the service is made to ask for another one.
    if (cloud.real) {
      service.putCloud('doomed', { ...doomed, region_name: 'RegionTwo' })
      service.later(0.1)
    }
    expect(await service.prune(2)).toMatchObject({ unreachable: 1, good: 0, failed: 0, deleted: 0, faults: 0 })
    expect((await service.state('web')).problem).toBe('Keystone does not know this application credential: it was deleted, or its id is wrong.')
    expect(periodsOf(await service.images(web))).toEqual([period(1)])

    service.putCloud('doomed', cloud.entry())
    service.later(1)
    await service.good(2, 'web')
    expect(periodsOf(await service.images(web))).toEqual([period(2)])
  })
})
