import { expect, test } from 'vitest'
import { findImage } from '../../cli/image.ts'
import { planNewServer, type NewServerWish, type RestorePlan } from '../../lib/planner/restore.ts'
import { beginRestore, preflightNewServer, preflightRebuild, untilRestored } from '../../lib/runner/restore.ts'
import type { Image } from '../../lib/model/image.ts'
import type { ServerDetails } from '../../lib/model/server.ts'
import type { Json } from './api.ts'
import { cloudUnderTest } from './harness.ts'
import { enter, period, useService, type DeployedService } from './service.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()
const mine = await enter(cloud.entry())
const deploy = useService(cloud)

const wish = (label: string, attributes: Partial<NewServerWish> = {}): NewServerWish => ({
  name: cloud.name(label), flavor: undefined, networks: 'none', keyName: undefined, volumeType: undefined, availabilityZone: undefined, securityGroups: [], ...attributes,
})
const codes = ({ findings }: RestorePlan) => findings.map(({ code }) => code)
const planNew = (image: Image, label: string, attributes?: Partial<NewServerWish>) => preflightNewServer(image, wish(label, attributes), mine, new Date())
const planRebuildOf = (image: Image, server: string) => preflightRebuild(image, server, mine, new Date())

/** Carries a plan out to its end. */
async function carryOut({ order, findings }: RestorePlan): Promise<ServerDetails> {
  if (!order) throw new Error(findings.map(({ message }) => message).join('\n'))
  const id = await beginRestore(order, mine)
  const options = { clock: () => new Date(), sleep: (ms: number) => cloud.sleep(ms / 1000), interrupted: new AbortController().signal, progress: () => {} }
  return (await untilRestored(id, order, mine, options))!
}

/** The scheduled image that the service makes of a server for the n-th of the last days. */
async function scheduled(service: DeployedService, server: string, n = 1): Promise<Image> {
  await service.putSchedule(server, server)
  await service.snapshot(n)
  await service.good(n, server)
  return (await mine.image.getImage((await service.state(server)).lastGood!.image))!
}

const volumesOf = async (server: string): Promise<Json[]> => {
  const ids = ((await cloud.server(server))['os-extended-volumes:volumes_attached'] as Json[]).map(({ id }) => id as string)
  return Promise.all(ids.map(async (id) => (await api.request('block-storage', 'GET', `/volumes/${id}`)).json['volume'] as Json))
}

test('an image becomes a new server, whose own images are its own', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'web' })
  const image = await scheduled(service, web)
  expect(await findImage(image.name, mine)).toEqual(await findImage(image.id.toUpperCase(), mine))

  const plan = await planNew(image, 'web-restored')
  expect(plan.findings).toEqual([])
  const restored = await carryOut(plan)
  expect(restored).toMatchObject({ name: cloud.name('web-restored'), status: 'ACTIVE', image: image.id, flavor: 'lab.tiny', tags: [], metadata: {}, volumes: [] })

  // A person's image of it has the marks of the scheduled one (case 1), and is not taken for one.
  const byHand = await cloud.snapshot(restored.id, 'by-hand')
  await cloud.finished(byHand, restored.id)
  expect((await cloud.image(byHand))?.['scheduled_images__image']).toBe(image.id)
  const own = await scheduled(service, restored.id, 2)
  await service.good(2, web)
  expect(own.properties).toMatchObject({ instance_uuid: restored.id, scheduled_images__schedule: `daily/${restored.id}`, scheduled_images__image: own.id })

  // Each keeps one: of the old server the older goes, and of the new one nothing.
  await service.snapshot(3)
  await service.good(3, web, restored.id)
  const kept = async (server: string) => (await service.images(server)).map(({ properties }) => properties['scheduled_images__period'])
  await cloud.until(() => kept(web), (periods) => periods.length === 1)
  expect([await kept(web), await kept(restored.id)]).toEqual([[period(3)], [period(3)]])
  expect((await cloud.image(byHand))?.['status']).toBe('active')
}, 600_000)

test('case 68: an image is put back on its server, which keeps what it has, and stays stopped when it was', async () => {
  const service = await deploy()
  const web = await cloud.boot({ label: 'back', metadata: { tier: 'web' } })
  const image = await scheduled(service, web)
  const plan = await planRebuildOf(image, web)
  expect(codes(plan)).toEqual([])
  expect(await carryOut(plan)).toMatchObject({ id: web, name: cloud.name('back'), status: 'ACTIVE', image: image.id, flavor: 'lab.tiny', metadata: { tier: 'web' } })

  await mine.compute.stopServer(web)
  await cloud.untilServer(web, 'SHUTOFF')
  expect(await carryOut(await planRebuildOf(image, web))).toMatchObject({ id: web, status: 'SHUTOFF', taskState: null })

  // Its next image is one of the schedule as before.
  await service.snapshot(2)
  await service.good(2, web)
  expect((await service.images(web)).at(-1)?.properties).toMatchObject({ scheduled_images__period: period(2), instance_uuid: web })
})

test('case 64, 65, 69: the image of a volume-backed server becomes a server with volumes of its own, which is rebuilt by nothing, and whose next image has volume snapshots', async () => {
  const service = await deploy()
  const db = await cloud.boot({ label: 'db', volumeBacked: true, dataVolumes: 1 })
  const image = await scheduled(service, db)
  const plan = await planNew(image, 'db-restored')
  expect(plan.findings).toEqual([])
  const restored = await carryOut(plan)
  expect(restored).toMatchObject({ status: 'ACTIVE', image: image.id, flavor: 'lab.nodisk' })
  const parts = [...(await mine.blockStorage.listSnapshots()).values()].filter(({ id }) => JSON.stringify(image.properties).includes(id))
  const volumes = await volumesOf(restored.id)
  expect(volumes.map((volume) => [volume['snapshot_id'], volume['status']]).toSorted()).toEqual(parts.map(({ id }) => [id, 'in-use']).toSorted())

  const web = await cloud.boot({ label: 'web' })
  expect(codes(await planRebuildOf(image, db))).toContain('SERVER_VOLUME_BACKED')
  expect(codes(await planRebuildOf(image, restored.id))).toContain('SERVER_VOLUME_BACKED')
  expect(codes(await planRebuildOf(image, web))).toContain('IMAGE_VOLUME_BACKED')

  const next = await scheduled(service, restored.id, 2)
  expect(next.properties).toMatchObject({ instance_uuid: restored.id, scheduled_images__image: next.id })
  expect(next.size).toBe(0)
  const own = [...(await mine.blockStorage.listSnapshots()).values()].filter(({ id }) => JSON.stringify(next.properties).includes(id))
  expect(own.map(({ volume }) => volume).toSorted()).toEqual(volumes.map(({ id }) => id as string).toSorted())
  expect(codes(await planNew(next, 'again'))).toEqual([])
})

test('volumes of a wished type, and a server of a wished flavor', async () => {
  const service = await deploy()
  const image = await scheduled(service, await cloud.boot({ label: 'typed', volumeBacked: true }))
  const plan = await planNew(image, 'typed-restored', { volumeType: '__DEFAULT__', flavor: 'lab.tiny' })
  expect(plan.findings).toEqual([])
  const restored = await carryOut(plan)
  expect(restored).toMatchObject({ status: 'ACTIVE', flavor: 'lab.tiny' })
  expect(await volumesOf(restored.id)).toMatchObject([{ volume_type: '__DEFAULT__', status: 'in-use' }])
  expect(codes(await planNew(image, 'x', { volumeType: 'nope' }))).toEqual(['VOLUME_TYPE_UNKNOWN'])
  expect(codes(await planNew(image, 'x', { keyName: 'nope' }))).toEqual(['KEY_UNKNOWN'])
})

test('case 66: an image whose volume snapshot is gone is refused before anything is touched', async () => {
  const db = await cloud.boot({ label: 'hollow', volumeBacked: true })
  const id = await cloud.snapshot(db, 'hollow', { instance_uuid: db })
  const image = (await mine.image.getImage(id))!
  const [part] = JSON.parse(image.properties['block_device_mapping']!) as Json[]
  const seen = async () => (await mine.blockStorage.listSnapshots()).get(part?.['snapshot_id'])?.status
  await cloud.until(seen, (status) => status === 'available')
  expect(codes(await planNew(image, 'fine'))).toEqual(['IMAGE_NOT_SCHEDULED'])
  await mine.blockStorage.deleteSnapshot(part?.['snapshot_id'])
  await cloud.until(seen, (status) => status === undefined)

  const plan = await planNew(image, 'never')
  expect(plan.findings).toContainEqual({ code: 'IMAGE_NOT_GOOD', blocks: true, message: `Image "${image.name}" (${id}) cannot be restored: its volume snapshot ${part?.['snapshot_id']} does not exist. Choose another image.` })
  expect(plan.order).toBeUndefined()
})

test('case 67: an image that is queued or gone is refused before anything is touched', async () => {
  const queued = await api.request('image', 'POST', '/v2/images', { body: { name: cloud.name('queued'), disk_format: 'raw', container_format: 'bare' } })
  const id: string = queued.json['id']
  const web = await cloud.boot({ label: 'waiting' })
  for (const plan of [await planNew(await findImage(id, mine), 'never', { flavor: 'lab.tiny' }), await planRebuildOf(await findImage(id, mine), web)]) {
    expect(codes(plan)[0]).toBe('IMAGE_NOT_GOOD')
    expect(plan.order).toBeUndefined()
  }
  await mine.image.deleteImage(id)
  await expect(findImage(id, mine)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
  await expect(findImage(cloud.name('queued'), mine)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
})

test('two images of one name have to be told apart', async () => {
  const [one, other] = [await cloud.upload('twins'), await cloud.upload('twins')]
  const refused = await findImage(cloud.name('twins'), mine).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'IMAGE_AMBIGUOUS' })
  expect((refused as Error).message).toContain(one)
  expect((refused as Error).message).toContain(other)
})

test('what Nova refuses after all is told of in its words, and nothing is there', async () => {
  const image = (await mine.image.getImage(cloud.baseImage))!
  const [servers, flavors, quotas] = await Promise.all([mine.compute.listServers(), mine.compute.listFlavors(), mine.compute.getQuotas()])
  const nobody = '11111111-1111-4111-8111-111111111111'
  const facts = { now: new Date(), image, project: mine.project, snapshots: new Map(), source: undefined, servers, flavors, quotas, volumeQuotas: undefined, volumeTypes: [], hasKey: true }
  const { order } = planNewServer(wish('refused', { flavor: 'lab.tiny', networks: [nobody] }), facts)
  await expect(beginRestore(order!, mine)).rejects.toMatchObject({ code: 'RESTORE_REFUSED', message: `The new server was refused, and none was made. Nova says: Network ${nobody} could not be found.` })
  expect((await mine.compute.listServers()).filter(({ name }) => name === cloud.name('refused'))).toEqual([])

  const web = await cloud.boot({ label: 'locked' })
  const plan = await planRebuildOf(image, web)
  await api.action(web, { lock: null })
  expect(codes(await planRebuildOf(image, web))).toContain('SERVER_LOCKED')
  await expect(beginRestore(plan.order!, mine)).rejects.toMatchObject({ code: 'RESTORE_REFUSED', message: `The rebuild was refused, and nothing was overwritten. Nova says: Instance ${web} is locked` })
})
