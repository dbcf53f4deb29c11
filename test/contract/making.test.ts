import { describe, expect, test } from 'vitest'
import { imageMetadata, imageName } from '../../lib/planner/naming.ts'
import type { Json } from './api.ts'
import { cloudUnderTest } from './harness.ts'
import { enter, period, useService } from './service.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()
const mine = await enter(cloud.entry())
const deploy = useService(cloud)

const imagesMade = (server: string) => mine.image.listImages({ owner: mine.project, properties: { instance_uuid: server } })
const periodsOf = (images: readonly { properties: Readonly<Record<string, string>> }[]) => images.map(({ properties }) => properties['scheduled_images__period'])
const volumesOf = async (server: string): Promise<string[]> => (await cloud.server(server))['os-extended-volumes:volumes_attached'].map(({ id }: Json) => id)
/** Sets a volume's metadata, which the lab reads its knobs from. */
const turn = (volume: string, metadata: Json) => api.request('block-storage', 'PUT', `/volumes/${volume}/metadata`, { body: { metadata } })
const partsOf = async (image: string): Promise<string[]> => (JSON.parse((await cloud.image(image))?.['block_device_mapping']) as Json[]).map((part) => part['snapshot_id'])

describe.skipIf(!cloud.knobs)('volume-backed servers', () => {
  test('case 14, 15: an image is found again, and good only when each of its volume snapshots is available', async () => {
    const service = await deploy()
    const db = await cloud.boot({ label: 'slow-db', volumeBacked: true, dataVolumes: 1 })
    const [, data] = await volumesOf(db)
    await service.putSchedule('db', db)
    await service.snapshot(1)
    await service.good(1, 'db')
    const first = (await service.state('db')).lastGood!.image

    await turn(data!, { lab_delay: '7' })
    await service.snapshot(2)
    expect(await service.prune(2)).toMatchObject({ waiting: 1, good: 0, failed: 0, deleted: 0 })
    expect((await cloud.image(await service.saving(db)))?.['status']).toBe('active')
    expect((await cloud.image(first))?.['status']).toBe('active')
    await service.good(2, 'db')
    expect(periodsOf(await service.images(db))).toEqual([period(2)])
    await turn(data!, {})
  })

  test('case 15, 42: a volume snapshot that fails makes the run fail, leaves nothing behind, and deletes no older image', async () => {
    const service = await deploy()
    const db = await cloud.boot({ label: 'failing-db', volumeBacked: true, dataVolumes: 1 })
    const [root] = await volumesOf(db)
    await service.putSchedule('db', db)
    await service.snapshot(1)
    await service.good(1, 'db')

    await turn(root!, { lab_fail: 'snapshot' })
    await service.snapshot(2)
    const image = await service.saving(db)
    const parts = await partsOf(image)
    expect(await service.settled(2)).toMatchObject({ failed: 1, good: 0, deleted: 0 })
    expect((await service.state('db')).problem).toMatch(/cannot be restored: its volume snapshot .* is error/)
    await turn(root!, {})
    expect(await cloud.image(image)).toBeUndefined()
    await cloud.until(async () => {
      await service.prune(2)
      return mine.blockStorage.listSnapshots()
    }, (statuses) => parts.every((part) => !statuses.has(part)))
    expect(periodsOf(await service.images(db))).toEqual([period(1)])
  })
})

test('case 22: stopped, paused, suspended and locked servers get their images', async () => {
  const service = await deploy()
  const states = { 'os-stop': 'SHUTOFF', pause: 'PAUSED', suspend: 'SUSPENDED', lock: 'ACTIVE' }
  const servers = await Promise.all(Object.entries(states).map(async ([action, status]) => {
    const id = await cloud.boot({ label: action })
    expect((await api.action(id, { [action]: null })).status).toBe(202)
    await cloud.untilServer(id, status)
    await service.putSchedule(action, id)
    return id
  }))
  expect(await service.snapshot(1)).toMatchObject({ started: 4, failed: 0, busy: 0 })
  await service.good(1, ...Object.keys(states))
  for (const id of servers) expect(await service.images(id)).toHaveLength(1)
})

test.skipIf(!cloud.knobs)('case 23, 24, 32: a server in error and one that is gone are told of, a busy one waits its turn, and the others go on', async () => {
  const service = await deploy()
  const [broken, busy, web, gone] = await Promise.all([
    cloud.boot({ label: 'broken', metadata: { lab_fail: 'spawn' }, until: 'ERROR' }),
    cloud.boot({ label: 'busy', metadata: { lab_delay: '5' } }),
    cloud.boot({ label: 'free' }),
    cloud.boot({ label: 'gone' }),
  ])
  for (const [schedule, server] of Object.entries({ broken, busy, web, gone })) await service.putSchedule(schedule, server)
  await cloud.deleteServer(gone)
  const byHand = await cloud.snapshot(busy, 'by-hand')
  expect(await service.snapshot(1)).toMatchObject({ started: 1, busy: 1, failed: 2, faults: 0 })
  expect((await service.state('broken')).problem).toMatch(/ is in state ERROR, in which OpenStack makes no image/)
  expect((await service.state('gone')).problem).toMatch(/^Server .* does not exist in the project of cloud "default"; its images are kept/)
  expect((await service.state('busy')).problem).toMatch(/ is busy \(image_/)
  await service.good(1, 'web')

  await cloud.finished(byHand, busy)
  expect(await service.snapshot(1, '01:15')).toMatchObject({ started: 1, busy: 0 })
  await service.good(1, 'busy')
})

test('case 24, 25: an image is asked for as that of a person becomes active: it may have to wait, which is no failure, and comes too', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'shared' })
  await service.putSchedule('web', web)
  const byHand = await cloud.snapshot(web, 'by-hand')
  const ticks = ['01:00', '01:15', '01:30', '01:45', '02:00', '02:15']
  for (const at of ticks) {
    const { started, failed, faults } = await service.snapshot(1, at)
    expect([failed, faults]).toEqual([0, 0])
    if (started === 1) break
    // The next one comes at the very moment at which the image is active, and its server still busy.
    await cloud.until(() => cloud.image(byHand), (image) => image?.['status'] === 'active')
  }
  await service.good(1, 'web')
  expect(await service.images(web)).toHaveLength(1)
})

test('two schedules of one server take turns', async () => {
  const service = await deploy()
  const db = await cloud.boot({ label: 'turns', volumeBacked: true })
  await service.putSchedule('a', db)
  await service.putSchedule('b', db)
  expect(await service.snapshot(1)).toMatchObject({ started: 1, waiting: 1 })
  await service.settled(1)
  expect(await service.snapshot(1, '01:45')).toMatchObject({ started: 1 })
  await service.good(1, 'a', 'b')
  expect((await service.images(db)).map(({ properties }) => properties['scheduled_images__schedule']).toSorted()).toEqual(['daily/a', 'daily/b'])
})

test('case 26: two functions at once make one image of a volume-backed server, although Nova would make two', async () => {
  const service = await deploy()
  const db = await cloud.boot({ label: 'raced', volumeBacked: true })
  await service.putSchedule('db', db)
  const summaries = await Promise.all([service.snapshot(1), service.snapshotElsewhere(1), service.snapshot(1), service.snapshotElsewhere(1)])
  expect(summaries.reduce((sum, { started }) => sum + started, 0)).toBe(1)
  await service.good(1, 'db')
  expect(await imagesMade(db)).toHaveLength(1)
})

test('case 28: of a server with a data volume beside its root disk, the log says that the volume is not in the image', async () => {
  const service = await deploy()
  const mixed = await cloud.boot({ label: 'mixed', dataVolumes: 1 })
  await service.putSchedule('mixed', mixed)
  await service.snapshot(1)
  await service.good(1, 'mixed')
  expect(service.lines).toContain(`The image holds the root disk of server "${cloud.name('mixed')}" only: its attached volume is not in it.`)
})

describe('names and metadata', () => {
  test.each([
    ['an emoji and a tab', 'web 🎉\t1'],
    ['as many characters as a name may have', 'x'.repeat(255)],
    ['letters of any language, and space at the end', 'résumé-日本-✓ \u3000'],
  ])('case 19, 20, 21: what we make of a server’s name with %s, and our metadata, are taken as they are', async (_what, name) => {
    const server = await cloud.boot({ label: 'named' })
    const schedule = { cadence: 'daily', name: 's'.repeat(128), imageName: `${cloud.name('')}{server}-{time}` } as const
    const wanted = imageName(schedule, { server: name, period: period(1), at: new Date() })
    const metadata = imageMetadata({ server, schedule: `daily/${schedule.name}`, period: period(1) }, cloud.name('run'), 'live')
    const { image } = await mine.compute.createImage(server, wanted, metadata)
    expect(await cloud.finished(image, server)).toMatchObject({ name: wanted, ...metadata })
  })
})

describe.skipIf(!cloud.has('gamma'))('a project with room for three images', () => {
  test('case 29: a used-up quota is told as that, asked for once, and nothing is deleted to make room', async () => {
    const service = await deploy()
    const gamma = await enter(cloud.entry('gamma'))
    const raw = await cloud.api('gamma')
    service.putCloud('gamma', cloud.entry('gamma'))
    const small = await cloud.boot({ label: 'small', cloud: 'gamma' })
    await service.putSchedule('small', small, { cloud: 'gamma' })
    await service.snapshot(1)
    await service.good(1, 'small')
    const { image } = (await service.state('small')).lastGood!
    const body = { name: cloud.name('filler'), disk_format: 'raw', container_format: 'bare' }
    for (let count = 0; count < 2; count += 1) expect((await raw.request('image', 'POST', '/v2/images', { body })).status).toBe(201)

    expect(await service.snapshot(2)).toMatchObject({ started: 0, failed: 1 })
    expect((await service.state('small')).problem).toMatch(/^The project's image quota .* is used up/)
    expect((await raw.request('compute', 'GET', `/servers/${small}/os-instance-actions`)).json['instanceActions'].filter(({ action }: Json) => action === 'createImage').length).toBeLessThanOrEqual(2)
    await service.prune(2)
    expect(await gamma.image.getImage(image)).toMatchObject({ status: 'active' })
    const images: Json[] = (await raw.request('image', 'GET', '/v2/images?limit=1000&visibility=private')).json['images']
    expect(images.filter(({ name }) => name.startsWith(cloud.name('small')))).toHaveLength(1)
  })
})
