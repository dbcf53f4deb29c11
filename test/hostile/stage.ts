import { personIn } from '../../demo/person.ts'
import { startWorld, type World } from '../../demo/world.ts'
import { day, scheduled } from '../support/scene.ts'
import { serviceIn, type TestService } from '../support/service.ts'
import { startElsewhere, type Elsewhere } from './elsewhere.ts'
import { startProxy, type Proxy } from './proxy.ts'
import { imageOfSnapshot, mustKeep, type Promised } from './reckoning.ts'

/** A world with much to delete wrongly, a proxy before its cloud, and a service that knows the proxy only. */
export interface Stage {
  readonly world: World
  readonly proxy: Proxy
  readonly elsewhere: Elsewhere
  readonly service: TestService
  readonly promises: readonly Promised[]
  /** Images that must stay whatever happens on this stage, by what is special about them. */
  readonly treasures: Readonly<Record<string, string>>
  /** Deletes that reached the cloud although what they name had to be kept, with the reason why. */
  readonly crimes: readonly string[]
  close(): Promise<void>
}

/**
 * Three schedules with retention 1 or 2, of which each has more good images than that, and images that no retention may
 * take. Three images are being made when it returns, at 01:00 of day 6.
 */
export async function setStage(): Promise<Stage> {
  const world = await startWorld({ now: day(1, '00:00:00') })
  const { openstack, project } = world
  const [proxy, elsewhere] = await Promise.all([startProxy(openstack.url), startElsewhere()])
  for (const [name, text] of world.aws.parameters) world.aws.parameters.set(name, text.replaceAll(openstack.url, proxy.url))
  const service = serviceIn(world)

  const web = await scheduled(world, 'web', {}, { retention: 2 })
  const db = await scheduled(world, 'db', { volumeBacked: true, dataVolumes: 1 }, { retention: 1 })
  const shop = await scheduled(world, 'shop', {}, { retention: 1 })
  const promises = [
    { schedule: 'daily/web', server: web.id, retention: 2 },
    { schedule: 'daily/db', server: db.id, retention: 1 },
    { schedule: 'daily/shop', server: shop.id, retention: 1 },
  ]

  const marksOf = (name: string, server: string, n: number) => ({
    'org.openstack__1__created_by': 'scheduled_images_service', instance_uuid: server, scheduled_images__schedule: `daily/${name}`,
    scheduled_images__period: day(n).slice(0, 10), scheduled_images__run: `run-${name}-${n}`,
  })
  const add = (name: string, server: string, n: number, change: Partial<Parameters<typeof openstack.addImage>[1]> = {}, owner = project) => {
    const id = `${n < 0 ? 'b' : 'a'}000000${Math.abs(n)}-0000-4000-8000-${server.slice(-12)}`
    const properties = { ...marksOf(name, server, n), scheduled_images__image: id, ...change.properties }
    return openstack.addImage(owner, { id, name: `Daily-${name}-${n}`, createdAt: new Date(day(Math.max(1, n))), tags: ['scheduled-images'], ...change, properties }).id
  }
  const treasures = {
    deactivated: add('web', web.id, -1, { status: 'deactivated' }),
    empty: add('web', web.id, -2, { size: 0 }),
    'not sealed': add('web', web.id, -3, { properties: { scheduled_images__image: openstack.baseImageId } }),
    protected: add('web', web.id, -4, { protected: true }),
    foreign: add('web', web.id, -5, { visibility: 'public' }, openstack.addProject('beta')),
    'kept by a person': add('web', web.id, -6, { properties: { 'org.openstack__1__created_by': 'a person' } }),
  }
  for (let n = 1; n <= 5; n += 1) add('web', web.id, n)
  for (let n = 3; n <= 5; n += 1) add('shop', shop.id, n)
  const person = personIn(world)
  for (let n = 3; n <= 5; n += 1) {
    world.setClock(day(n))
    const answer = await person.act(db.id, { createImage: { name: `Daily-db-${n}`, metadata: marksOf('db', db.id, n) } })
    const { image_id: id } = (await answer.json()) as { image_id: string }
    world.setClock(day(n, '01:05:00'))
    await person.image('PATCH', id, [{ op: 'add', path: '/scheduled_images__image', value: id }, { op: 'replace', path: '/tags', value: ['scheduled-images'] }])
  }

  const crimes: string[] = []
  const forfeited = new Set<string>()
  proxy.watch = ({ method, path }) => {
    const [, kind, id] = /^\/(image|volume)\/.*\/([^/?]+)$/.exec(path) ?? []
    if (method !== 'DELETE' || id === undefined) return
    const image = kind === 'image' ? id : imageOfSnapshot(id, openstack)
    if (image === undefined || forfeited.has(image)) return
    const reason = mustKeep(image, openstack, project.id, promises)
    if (reason) crimes.push(`${method} ${path}, of image ${image}: ${reason}`)
    // With the first of its snapshots an image is lost, and the others may follow.
    else forfeited.add(image)
  }
  // The first prune of a cloud only begins its day; the images of day 6 are then being made.
  await service.pruneAt(day(5, '02:00:00'))
  await service.snapshotAt('daily', day(5, '02:00:00'))
  await service.snapshotAt('daily', day(6))

  return {
    world, proxy, elsewhere, service, promises, treasures, crimes,
    close: async () => {
      await Promise.all([proxy.close(), elsewhere.close()])
      await world.close()
    },
  }
}
