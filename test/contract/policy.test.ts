import { expect, test } from 'vitest'
import { cloudUnderTest } from './harness.ts'
import { period, useService } from './service.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()
const deploy = useService(cloud)

const periodsOf = (images: readonly { properties: Readonly<Record<string, string>> }[]) => images.map(({ properties }) => properties['scheduled_images__period'])
/** The last day of the n-th month before this one, and 01:30 of it. */
const monthEnd = (n: number) => {
  const at = new Date()
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - n + 1, 0, 1, 30))
}

test('monthly: the 31st, or the last day of a shorter month, and the newest two are kept', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'monthly' })
  await service.putSchedule('web', web, { cadence: 'monthly', dayOfMonth: 31, retention: 2 })
  const ends = [3, 2, 1].map(monthEnd)
  for (const end of ends) {
    expect(await service.run('monthly', end)).toMatchObject({ started: 1 })
    await service.made('monthly', 'web', end.toISOString().slice(0, 10))
    await cloud.untilServer(web, 'ACTIVE')
  }
  expect(periodsOf(await service.images(web))).toEqual(ends.slice(1).map((end) => end.toISOString().slice(0, 10)))
})

test('custom: office hours in a zone, each period named by its instant', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'custom' })
  await service.putSchedule('web', web, { cadence: 'custom', cron: '1 6-18/2 * * *', timeZone: 'Asia/Kathmandu', retention: 2 })
  // 12:01, 14:01 and 16:01 in Kathmandu.
  for (const time of ['06:16', '08:16', '10:16']) {
    expect(await service.run('custom', new Date(`${period(1)}T${time}:30Z`))).toMatchObject({ started: 1 })
    await service.made('custom', 'web', `${period(1)}T${time}Z`)
    await cloud.untilServer(web, 'ACTIVE')
  }
  expect(periodsOf(await service.images(web))).toEqual([`${period(1)}T08:16Z`, `${period(1)}T10:16Z`])
})

test('selector: servers by tag and name, but for those that are excluded', async () => {
  const service = await deploy()
  const tag = cloud.name('nightly')
  const [one, two, spare] = await Promise.all(['one', 'two', 'spare'].map((label) => cloud.boot({ label })))
  for (const server of [one, two, spare]) await api.request('compute', 'PUT', `/servers/${server}/tags/${tag}`, { microversion: 'compute 2.26' })
  const { name: excluded } = await cloud.server(spare!)
  await service.putSchedule('fleet', '', { server: undefined, selector: { tags: [tag], exclude: { name: excluded } } })
  expect(await service.snapshot(1)).toMatchObject({ started: 2 })
  await service.settled(1)
  await cloud.until(async () => {
    await service.prune(1)
    return Promise.all([one, two].map((server) => service.images(server!)))
  }, (images) => images.every((own) => own.length === 1))
  expect(await service.images(spare!)).toEqual([])
  expect((await service.state('fleet')).problem).toBeUndefined()
})

test('keep: the union of the rules, each image with its reasons', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'keep' })
  await service.putSchedule('web', web, { retention: undefined, keep: { last: 2, daily: 7 } })
  for (const n of [1, 2, 3, 4]) {
    await service.snapshot(n)
    await service.good(n, 'web')
    await cloud.untilServer(web, 'ACTIVE')
  }
  // All are of this day, of which one counts; the oldest stays while fewer days than 7 have an image.
  expect(periodsOf(await service.images(web))).toEqual([1, 3, 4].map(period))
  expect(service.lines).toContainEqual(expect.stringMatching(/^kept: good image 1 of 2; the newest of \S+ \(daily 1 of 7\)/))
  expect(service.lines).toContainEqual(expect.stringMatching(/^kept: the oldest \(daily 2 of 7\)/))
})

test.each([['image-backed', {}], ['volume-backed', { volumeBacked: true, dataVolumes: 1 }]])('stopped: a running %s server is stopped, snapshotted and started again; one that was off stays off', async (_kind, options) => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'stopped', ...options })
  await service.putSchedule('web', web, { consistency: 'stopped' })
  expect(await service.snapshot(1)).toMatchObject({ started: 1 })
  expect(await cloud.server(web)).toMatchObject({ status: 'ACTIVE' })
  expect(service.lines.filter((line) => /^(stopping|starting) server/.test(line)).map((line) => line.split(' ')[0])).toEqual(['stopping', 'starting'])
  await service.good(1, 'web')
  expect(await service.images(web)).toMatchObject([{ properties: { scheduled_images__consistency: 'stopped' } }])

  await api.action(web, { 'os-stop': null })
  await cloud.untilServer(web, 'SHUTOFF')
  expect(await service.snapshot(2)).toMatchObject({ started: 1 })
  await service.good(2, 'web')
  expect(await cloud.server(web)).toMatchObject({ status: 'SHUTOFF' })
})

test('quiesced: a server whose image does not require it is refused with a sentence', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'quiesced' })
  await service.putSchedule('web', web, { consistency: 'quiesced' })
  expect(await service.snapshot(1)).toMatchObject({ failed: 1, started: 0 })
  expect((await service.state('web')).problem).toMatch(/cannot be quiesced for certain: the image that it was made from does not say hw_qemu_guest_agent=yes and os_require_quiesce=yes\. /)
})

test.skipIf(!cloud.has('beta'))('shareWith: another project accepts the image, and loses it when it is removed from the list', async () => {
  const service = await deploy()
  const beta = await cloud.api('beta')
  const web = await cloud.boot({ label: 'shared' })
  await service.putSchedule('web', web, { shareWith: [beta.projectId] })
  await service.snapshot(1)
  await service.good(1, 'web')
  const [image] = await service.images(web)
  expect(await beta.request('image', 'PUT', `/v2/images/${image!.id}/members/${beta.projectId}`, { body: { status: 'accepted' } })).toMatchObject({ status: 200 })
  const seen = await beta.request('image', 'GET', `/v2/images?visibility=shared&limit=1000&owner=${image!.owner}`)
  expect(seen.json['images'].map(({ id }: { id: string }) => id)).toContain(image!.id)

  await service.putSchedule('web', web, { shareWith: [], retention: 2, onEnable: 'now' })
  await service.snapshot(2)
  await service.good(2, 'web')
  expect(await beta.request('image', 'GET', `/v2/images/${image!.id}`)).toMatchObject({ status: 404 })
})
