import { describe, expect, test } from 'vitest'
import { cloudUnderTest } from './harness.ts'
import { enter, period, useService } from './service.ts'

/** What the service does while a daemon of the cloud is down, and after; on a real one only where daemons can be stopped. */
const cloud = await cloudUnderTest()
const mine = await enter(cloud.entry())
const deploy = useService(cloud)

const imagesMade = (server: string) => mine.image.listImages({ owner: mine.project, properties: { instance_uuid: server } })
const periodsOf = (images: readonly { properties: Readonly<Record<string, string>> }[]) => images.map(({ properties }) => properties['scheduled_images__period'])
const statusOf = async (image: string): Promise<string> => (await cloud.image(image))?.['status'] ?? 'gone'

describe.skipIf(!cloud.outages)('while a daemon is down', () => {
  test('case 16: cinder-volume: an image that is active at once is not good, and no older one is deleted for it; it becomes good later', async () => {
    const service = await deploy()
    const db = await cloud.boot({ label: 'db', volumeBacked: true })
    await service.putSchedule('db', db)
    await service.snapshot(1)
    await service.good(1, 'db')
    await cloud.without('cinder-volume', async () => {
      expect(await service.snapshot(2)).toMatchObject({ started: 1 })
      expect(await statusOf(await service.saving(db))).toBe('active')
      expect(await service.prune(2)).toMatchObject({ waiting: 1, good: 0, failed: 0, deleted: 0 })
      expect(periodsOf(await service.images(db))).toEqual([period(1)])
    })
    await service.good(2, 'db')
    expect(periodsOf(await service.images(db))).toEqual([period(2)])
  })

  test('case 27: the message queue: createImage hangs, is given up and not sent again, and its image is found by the run', async () => {
    const service = await deploy()
    const web = await cloud.boot({ label: 'hanging' })
    await service.putSchedule('web', web)
    await cloud.without('rabbit', async () => {
      service.hurry(2)
      expect(await service.snapshot(1)).toMatchObject({ started: 0, failed: 1 })
      expect((await service.state('web')).problem).toMatch(/^Nova may or may not have begun the image; it is looked for before it is asked for again\./)
      expect(await service.snapshot(1, '01:15')).toMatchObject({ started: 0, notDue: 1 })
    })
    // Nobody concludes anything before the lease of the request is over.
    service.later(0.25)
    await service.good(1, 'web')
    expect(await imagesMade(web)).toHaveLength(1)
  })

  test('case 36: nova-compute: the image vanishes when the node is back, the run fails, and the next attempt is good', async () => {
    const service = await deploy()
    const web = await cloud.boot({ label: 'restarted' })
    await service.putSchedule('web', web)
    const image = await cloud.without('nova-compute', async () => {
      expect(await service.snapshot(1)).toMatchObject({ started: 1 })
      expect(await service.prune(1)).toMatchObject({ waiting: 1, failed: 0 })
      const saving = await service.saving(web)
      expect(await statusOf(saving)).toBe('queued')
      return saving
    })
    expect(await service.settled(1)).toMatchObject({ failed: 1, good: 0 })
    expect((await service.state('web')).problem).toMatch(/^Image .* is gone/)
    expect(await cloud.image(image)).toBeUndefined()
    await cloud.untilServer(web, 'ACTIVE')
    expect(await service.snapshot(1, '02:00')).toMatchObject({ started: 1 })
    await service.good(1, 'web')
  })

  test('case 63: Glance: reads are tried again and given up, createImage is sent once, and both runs are good after the outage', async () => {
    const service = await deploy()
    const [early, late] = await Promise.all([cloud.boot({ label: 'early' }), cloud.boot({ label: 'late' })])
    await service.putSchedule('early', early)
    await service.putSchedule('late', late, { at: '01:15', onEnable: 'next' })
    for (const at of ['01:00', '01:15']) await service.snapshot(1, at)
    await service.good(1, 'early', 'late')
    expect(await service.snapshot(2)).toMatchObject({ started: 1 })
    await cloud.finished(await service.saving(early), early)

    await cloud.without('glance', async () => {
      expect(await service.prune(2)).toMatchObject({ unreachable: 1, good: 0, failed: 0, deleted: 0, faults: 0 })
      expect((await service.state('early')).problem).toMatch(/^Listing images failed/)
      expect(await service.snapshot(2, '01:15')).toMatchObject({ started: 0, failed: 1, faults: 0 })
      expect((await service.state('late')).problem).toMatch(/^Nova may or may not have begun the image; .*GlanceConnectionFailed/s)
      const slept: number[] = []
      const patient = await enter(cloud.entry(), { sleep: (ms) => Promise.resolve(void slept.push(ms)), random: () => 0 })
      await expect(patient.image.getImage(cloud.baseImage)).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
      expect(slept).toEqual([500, 1000, 2000])
    })
    expect(periodsOf([...(await service.images(early)), ...(await service.images(late))])).toEqual([period(1), period(1)])
    // Nova made nothing: once the lease of the request is over, it is asked again.
    service.later(0.25)
    await cloud.until(() => service.prune(2), ({ failed }) => failed === 1)
    expect(await service.snapshot(2, '02:00')).toMatchObject({ started: 1 })
    await service.good(2, 'early', 'late')
    expect(periodsOf([...(await imagesMade(early)), ...(await imagesMade(late))])).toEqual([period(2), period(2)])
  })

  test('case 63: Keystone: the cloud cannot be entered, which is told of, and the run is good after the outage', async () => {
    const service = await deploy()
    const web = await cloud.boot({ label: 'outside' })
    await service.putSchedule('web', web)
    await cloud.without('keystone', async () => {
      expect(await service.snapshot(1)).toMatchObject({ started: 0, unreachable: 1, faults: 0 })
      expect((await service.state('web')).problem).toMatch(/^Asking Keystone for a token failed/)
    })
    expect(await service.snapshot(1, '01:15')).toMatchObject({ started: 1 })
    await service.good(1, 'web')
    expect(await imagesMade(web)).toHaveLength(1)
  })
})
