import { describe, expect, test } from 'vitest'
import type { Json } from './api.ts'
import { cloudUnderTest } from './harness.ts'
import { enter, period, useService } from './service.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()
const mine = await enter(cloud.entry())
const deploy = useService(cloud)

const periodsOf = (images: readonly { properties: Readonly<Record<string, string>> }[]) => images.map(({ properties }) => properties['scheduled_images__period'])
/** Sets the server's metadata, which the lab reads its knobs from. */
const turn = (server: string, metadata: Json) => api.request('compute', 'PUT', `/servers/${server}/metadata`, { body: { metadata } })
const imagesMade = (server: string) => mine.image.listImages({ owner: mine.project, properties: { instance_uuid: server } })

describe.skipIf(!cloud.knobs)('images that do not come', () => {
  test('case 33, 42: the hypervisor fails: the run fails as soon as the image is gone, nothing older is deleted, and the next attempt is good', async () => {
    const service = await deploy()
    const web = await cloud.boot({ label: 'failing' })
    await service.putSchedule('web', web)
    await service.snapshot(1)
    await service.good(1, 'web')

    await turn(web, { lab_fail: 'snapshot' })
    await service.snapshot(2)
    expect(await service.settled(2)).toMatchObject({ failed: 1, good: 0, deleted: 0 })
    expect((await service.state('web')).problem).toMatch(/^Image .* is gone: OpenStack removes it when the snapshot fails/)
    expect(periodsOf(await service.images(web))).toEqual([period(1)])

    await turn(web, {})
    await cloud.untilServer(web, 'ACTIVE')
    expect(await service.snapshot(2, '02:00')).toMatchObject({ started: 1 })
    await service.good(2, 'web')
    expect(periodsOf(await service.images(web))).toEqual([period(2)])
  })

  test('case 34: an image that is queued again after it was saving is waited for', async () => {
    const service = await deploy()
    const web = await cloud.boot({ label: 'breaking', metadata: { lab_fail: 'upload', lab_upload: '2' } })
    await service.putSchedule('web', web)
    await service.snapshot(1)
    const id = await service.saving(web)
    const statuses: string[] = []
    const look = async () => {
      const status: string = (await cloud.image(id))?.['status'] ?? 'gone'
      if (statuses.at(-1) !== status) statuses.push(status)
      return statuses.join(' ')
    }
    await cloud.until(look, (seen) => seen.includes('saving queued'))
    expect(await service.prune(1)).toMatchObject({ waiting: 1, failed: 0 })
    await cloud.until(look, (seen) => /gone|deleted/.test(seen))
    expect(await service.settled(1)).toMatchObject({ failed: 1 })
  })

  test('case 35, 41: an image that is queued for ever is no good image, and is removed after hours, once its server is idle', async () => {
    const service = await deploy()
    const web = await cloud.boot({ label: 'never' })
    await service.putSchedule('web', web)
    await service.snapshot(1)
    await service.good(1, 'web')
    await turn(web, { lab_fail: 'queued' })
    await service.snapshot(2)
    const id = await service.saving(web)
    await cloud.untilServer(web, 'ACTIVE')
    expect(await service.prune(2)).toMatchObject({ waiting: 1, failed: 0, deleted: 0 })
    expect((await cloud.image(id))?.['status']).toBe('queued')

    service.later(7)
    expect(await service.prune(2, '08:30')).toMatchObject({ waiting: 0, failed: 1, deleted: 0 })
    expect((await service.state('web')).problem).toMatch(/ is not there after 7 hours: its status is queued/)
    expect(await cloud.image(id)).toBeUndefined()
    expect(periodsOf(await service.images(web))).toEqual([period(1)])

    await turn(web, {})
    expect(await service.snapshot(2, '09:00')).toMatchObject({ started: 1 })
    await service.good(2, 'web')
    expect(periodsOf(await service.images(web))).toEqual([period(2)])
  })

  test('case 37: a server that is stuck for an hour is told of with the remedy, and the others go on', async () => {
    const service = await deploy()
    const [stuck, web] = await Promise.all([cloud.boot({ label: 'stuck', metadata: { lab_fail: 'notrunning' } }), cloud.boot({ label: 'well' })])
    await service.putSchedule('stuck', stuck)
    await service.putSchedule('web', web)
    expect(await service.snapshot(1)).toMatchObject({ started: 2 })
    await service.good(1, 'web')
    await cloud.until(() => service.prune(1), ({ waiting }) => waiting === 0)
    expect((await cloud.server(stuck))['OS-EXT-STS:task_state']).toBe('image_snapshot')
    expect(await service.snapshot(2)).toMatchObject({ started: 1, busy: 1, failed: 0, faults: 0 })
    for (const at of ['01:15', '01:30', '01:45']) {
      service.later(0.25)
      expect(await service.snapshot(2, at)).toMatchObject({ busy: 1, failed: 0, faults: 0 })
    }
    service.later(0.25)
    expect(await service.snapshot(2, '02:00')).toMatchObject({ busy: 0, failed: 1, faults: 0 })
    expect((await service.state('stuck')).problem).toMatch(/\(image_snapshot\).* a cloud administrator has to reset its state/)
    await service.good(2, 'web')
  })
})

test('case 38: many servers at once wait for one another in Nova, and each gets one image', async () => {
  const service = await deploy()
  const patient = { ...cloud.entry(), max_in_flight: 20, max_in_flight_per_host: 20 }
  service.putCloud('default', patient)
  const count = cloud.real ? 8 : 20
  const servers = await Promise.all(Array.from({ length: count }, (_, n) => cloud.boot({ label: `many-${n}` })))
  for (const [n, server] of servers.entries()) await service.putSchedule(`many-${n}`, server)
  expect(await service.snapshot(1)).toMatchObject({ started: count, failed: 0, busy: 0, waiting: 0 })
  await service.good(1, ...servers.map((_, n) => `many-${n}`))
  for (const server of servers) expect(await imagesMade(server)).toHaveLength(1)
})
