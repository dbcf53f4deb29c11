import type { ImageSeen, OpenStackSimulator, RecordedRequest, ServerSeen, SnapshotSeen } from '../../demo/openstack/simulator.ts'
import { periodsAt, type Timing } from './calendar.ts'
import { Power } from './power.ts'

/** An item of the schedules table as the person knows it who typed it in. */
export interface Item extends Timing {
  readonly name: string
  readonly server: { readonly id: string } | { readonly name: string }
  readonly retention: number
  readonly enabled: boolean
  /** Set while the item has a mistake in it. */
  readonly broken?: boolean
  readonly adopts?: readonly string[]
  /** Its server is stopped for its images. */
  readonly consistency?: 'live' | 'stopped'
  /** Ids of projects. */
  readonly shareWith?: readonly string[]
}

/** Who sends the requests at the moment. */
export type Author = 'service' | 'person'

/** An image that the service had made, as it was when Nova took the order. */
export interface Made {
  readonly id: string
  readonly server: string
  readonly schedule: string
  readonly period: string
  readonly madeAt: Date
  /** It was seen restorable at some time. */
  good: boolean
  /** A person broke it, or took it before the service was done with it: what comes of its period is theirs. */
  meddledWith: boolean
  goneBy?: Author | 'cloud'
}

interface View {
  readonly images: ReadonlyMap<string, ImageSeen>
  readonly snapshots: ReadonlyMap<string, SnapshotSeen>
  readonly servers: readonly ServerSeen[]
}

const createdBy = 'org.openstack__1__created_by'
const service = 'scheduled_images_service'
const seal = 'scheduled_images__image'
const sharedWith = 'scheduled_images__shared_with'
/** Counted from the attempt, which may have waited so long for its server to stop. */
const hollowAfterMs = 6 * 3_600_000 - 3 * 60_000

/** What the service may ask of a cloud at all. */
const allowed = new Set([
  'identity POST /v3/auth/tokens',
  'compute GET /v2.1/servers/detail', 'compute GET /v2.1/servers/ID', 'compute POST /v2.1/servers/ID/action createImage',
  'compute POST /v2.1/servers/ID/action os-stop', 'compute POST /v2.1/servers/ID/action os-start',
  'image GET /v2/images', 'image GET /v2/images/ID', 'image PATCH /v2/images/ID', 'image DELETE /v2/images/ID',
  'image POST /v2/images/ID/members', 'image DELETE /v2/images/ID/members/PROJECT',
  'block-storage GET /v3/PROJECT/snapshots/detail', 'block-storage GET /v3/PROJECT/snapshots/ID', 'block-storage DELETE /v3/PROJECT/snapshots/ID',
])
const uuid = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g

/**
 * Judges the service by what it does to a cloud, and by nothing that it says: it sees every request before it is carried
 * out, and knows whose it is. It shares no code with what it judges.
 */
export class Oracle {
  author: Author = 'person'
  /** The scheduled time of the tick that is running. */
  tick = new Date(0)
  /** The cloud as a listing showed it that has become stale since. */
  stale: View | undefined
  readonly items = new Map<string, Item>()
  readonly made = new Map<string, Made>()
  readonly broken: string[] = []
  readonly power = new Power()
  /** The cloud answers wrongly or not at all, so that the service may not know what it did. */
  faulty = false
  /** Which laws had something to judge, and how often: a history that never deletes proves nothing. */
  readonly judged: Record<string, number> = {}
  readonly #project: string
  readonly #cloud: () => OpenStackSimulator
  readonly #snapshotMakers = new Map<string, Author>()
  readonly #snapshotImages = new Map<string, string>()
  readonly #tried = new Set<string>()
  /** Images of failed attempts that were asked to be deleted. */
  readonly #givenUp = new Set<string>()
  #last: { readonly request: RecordedRequest; readonly author: Author; readonly view: View } | undefined

  constructor(project: string, cloud: () => OpenStackSimulator) {
    this.#project = project
    this.#cloud = cloud
  }

  look(): View {
    const cloud = this.#cloud()
    return {
      images: new Map(cloud.images().map((image) => [image.id, image])),
      snapshots: new Map(cloud.snapshots().map((snapshot) => [snapshot.id, snapshot])),
      servers: cloud.servers(),
    }
  }

  beginTick(now: Date): void {
    this.tick = now
    this.#tried.clear()
  }

  /** Called before each request is carried out. */
  hear(request: RecordedRequest): void {
    const view = this.#observe()
    this.#last = { request, author: this.author, view }
    if (this.author === 'service') this.#judge(request, view)
  }

  /** Takes in what the last request did. @throws Error when a law was broken. */
  conclude(): View {
    const view = this.#observe()
    this.#last = undefined
    if (this.broken.length > 0) throw new Error(this.broken.join('\n'))
    return view
  }

  /** A person breaks or takes an image of ours. */
  meddle(id: string, breaks: boolean): void {
    const made = this.made.get(id)
    const image = this.look().images.get(id)
    if (made && (breaks || image?.properties[seal] !== id)) made.meddledWith = true
  }

  /** Whether a server could be restored from it now. */
  isGood(image: ImageSeen, { snapshots }: View): boolean {
    if (image.status !== 'active') return false
    const needed = snapshotsOf(image)
    return needed.length === 0 ? (image.size ?? 0) > 0 : needed.every((id) => snapshots.get(id)?.status === 'available')
  }

  /** The good images that count for an item's retention, of one server, newest first. */
  counted(key: string, server: string, view: View): ImageSeen[] {
    const theirs = [...view.images.values()].filter((image) => {
      const made = this.made.get(image.id)
      if (made?.server !== server || this.keeperOf(made) !== key) return false
      const kept = image.protected || image.hidden || image.properties[createdBy] !== service
      return !kept && image.properties[seal] === image.id && this.isGood(image, view)
    })
    return theirs.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1))
  }

  /** The key of the item whose retention an image of ours falls under, valid and enabled or not. */
  keeperOf({ schedule, server }: Pick<Made, 'schedule' | 'server'>): string | undefined {
    if (this.items.has(schedule)) return schedule
    const adopters = [...this.items].filter(([, item]) => isLive(item) && item.adopts?.includes(schedule) && 'id' in item.server && item.server.id === server)
    return adopters.length === 1 ? adopters[0]![0] : undefined
  }

  /** Whether a volume snapshot that no image names should have gone: the service had it made, and no person took its image away. */
  isOrphan(id: string): boolean {
    const image = this.#snapshotImages.get(id)
    return this.#snapshotMakers.get(id) === 'service' && (image === undefined || this.made.get(image)?.goneBy === 'service')
  }

  /** What failed attempts left behind, and nobody has laid hands on. */
  leftovers(view: View, now: Date): ImageSeen[] {
    return [...view.images.values()].filter((image) => {
      const made = this.made.get(image.id)
      const kept = image.protected || image.hidden || image.properties[createdBy] !== service || image.properties[seal] === image.id
      return made && !made.meddledWith && !kept && this.#isHollow(image, made, view, now)
    })
  }

  #say(law: string, what: string): void {
    this.broken.push(`LAW BROKEN: ${law}: ${what}`)
  }

  #count(law: string): void {
    this.judged[law] = (this.judged[law] ?? 0) + 1
  }

  /** What the request before this moment did: whose images and snapshots came, and which are gone. */
  #observe(): View {
    const view = this.look()
    const before = this.#last
    for (const id of view.snapshots.keys()) if (!this.#snapshotMakers.has(id)) this.#snapshotMakers.set(id, before?.author ?? 'person')
    for (const made of this.made.values()) {
      const image = view.images.get(made.id)
      if (image === undefined) made.goneBy ??= before?.request.method === 'DELETE' && before.request.path.includes(made.id) ? before.author : 'cloud'
      else if (!made.good && this.isGood(image, view)) {
        made.good = true
        this.#judgeOnlyOne(made)
      }
    }
    if (before?.author === 'service') {
      const server = serverOf(before.request, before.view)
      if (server) this.power.observe(before.request, server, !this.faulty)
      for (const id of this.made.keys()) this.#judgeMembers(before.view.images.get(id), view.images.get(id))
      for (const image of view.images.values()) if (!before.view.images.has(image.id)) this.#enter(image, before.request)
      if (before.request.method === 'PATCH') this.#judgeSeal(before.request, before.view, view)
    }
    return view
  }

  #enter(image: ImageSeen, request: RecordedRequest): void {
    const { id, name, createdAt, properties } = image
    const [server = ''] = request.path.match(uuid) ?? []
    const { scheduled_images__schedule: schedule = '', scheduled_images__period: period = '' } = properties
    const made: Made = { id, server, schedule, period, madeAt: createdAt, good: false, meddledWith: false }
    this.made.set(id, made)
    for (const snapshot of snapshotsOf(image)) this.#snapshotImages.set(snapshot, id)
    this.#count('image made')
    const item = this.items.get(schedule)
    const status = this.#last!.view.servers.find((one) => one.id === server)?.status
    if (properties['scheduled_images__consistency'] === 'stopped') {
      this.#count('image of a stopped server')
      if (status !== 'SHUTOFF') this.#say('an image that says so is of a stopped server', `${name} (${id}) of server ${server}, which is ${status}`)
    }
    const what = `${name} (${id}) of server ${server} for ${schedule} ${period}`
    if (!item || !isLive(item)) this.#say('an image is made for a schedule that is there, valid and enabled', what)
    else {
      const servers = this.#cloud().servers().filter((one) => ('id' in item.server ? one.id === item.server.id : one.name === item.server.name))
      if (!servers.some((one) => one.id === server)) this.#say('an image is made of the server that the item names', what)
      if (!periodsAt(item, this.tick).includes(period)) this.#say('an image is made for the period that has begun', `${what} at ${this.tick.toISOString()}`)
    }
    if (properties['instance_uuid'] !== server || properties[createdBy] !== service) this.#say('an image carries its marks', what)
    const earlier = [...this.made.values()].find((other) => other !== made && other.good && !other.meddledWith && samePeriod(other, made))
    if (earlier) this.#say('a period that has its good image gets no second', `${what} after ${earlier.id}`)
  }

  #judgeOnlyOne(made: Made): void {
    this.#count('image good')
    const twin = [...this.made.values()].find((other) => other !== made && other.good && samePeriod(other, made) && !other.meddledWith && !made.meddledWith)
    if (twin) this.#say('at most one good image for each server, schedule and period', `${made.id} and ${twin.id} for ${made.schedule} ${made.period}`)
  }

  #judge(request: RecordedRequest, view: View): void {
    const { service, method, path, action } = request
    const kind = [service, method, path.replace(/\?.*/s, '').replace(this.#project, 'PROJECT').replaceAll(uuid, 'ID').replace(/members\/[0-9a-f]{32}$/, 'members/PROJECT'), action].filter(Boolean).join(' ')
    if (!allowed.has(kind)) this.#say('the service asks nothing of a cloud that it has no use for', kind)
    const server = serverOf(request, view)
    if (server) this.#judgePower(request, server)
    if (path.includes('/members')) return
    const [id] = path.match(uuid) ?? []
    if (id === undefined || (service !== 'image' && service !== 'block-storage')) return
    if (method === 'DELETE' && service === 'image') this.#judgeDelete(id, view)
    else if (method === 'DELETE') this.#judgeSnapshotDelete(id, view)
    else if (method === 'PATCH') this.#judgePatch(id, view)
    if (service === 'image') this.#tried.add(id)
  }

  #judgePower(request: RecordedRequest, server: ServerSeen): void {
    if (request.action === 'os-stop' || request.action === 'os-start') this.#count(request.action)
    const mayStop = [...this.items.values()].some((item) => isLive(item) && item.consistency === 'stopped' && ('id' in item.server ? item.server.id === server.id : item.server.name === server.name))
    const law = this.power.judge(request, server, mayStop)
    if (law !== undefined) this.#say(law, `${request.action} of server ${server.name} (${server.id}, ${server.status})`)
  }

  /** Who becomes a member, or no longer is one, by a request of the service. */
  #judgeMembers(was: ImageSeen | undefined, is: ImageSeen | undefined): void {
    if (was === undefined || is === undefined || same(was, is)) return
    const item = this.items.get(this.made.get(is.id)!.schedule)
    const wanted = item && isLive(item) ? (item.shareWith ?? []) : undefined
    const added = Object.keys(is.members).filter((project) => !(project in was.members))
    const removed = Object.keys(was.members).filter((project) => !(project in is.members))
    const what = `${is.name} (${is.id})`
    if (added.length > 0) this.#count('image shared')
    if (removed.length > 0) this.#count('image no longer shared')
    if (added.some((project) => !wanted?.includes(project))) this.#say('an image is shared with nobody but those of its list', `${what} with ${added.join()}`)
    if (removed.some((project) => wanted?.includes(project) ?? true)) this.#say('whoever is in the list of an image stays a member', `${what} with ${removed.join()}`)
    if (was.visibility !== is.visibility && (is.visibility !== 'shared' || !wanted?.length)) this.#say('an image is made visible to nobody but those of its list', `${what} is ${is.visibility}`)
  }

  #judgeDelete(id: string, view: View): void {
    const image = view.images.get(id)
    if (image === undefined) return
    this.#count('image delete')
    const made = this.made.get(id)
    const what = `${image.name} (${id}, ${image.status}, made ${image.createdAt.toISOString()})`
    if (!made) return this.#say('what people made is never deleted', what)
    if (image.owner !== this.#project) this.#say('what belongs to others is never deleted', what)
    if (image.protected) this.#say('a protected image is never deleted', what)
    if (image.hidden) this.#say('a hidden image is never deleted', what)
    if (image.properties[createdBy] !== service) this.#say('an image whose mark was taken away is never deleted', what)
    if (image.properties[seal] !== id) {
      // Once it was given up, the server may be busy with the image of the next attempt.
      if (this.#isHollow(image, made, view, this.#last!.request.at)) this.#givenUp.add(id)
      else if (image.status === 'active' || !this.#givenUp.has(id)) this.#say('an image without its seal is never deleted, unless it holds nothing', what)
      this.#count('leftover delete')
      return
    }
    const key = this.keeperOf(made)
    const item = key === undefined ? undefined : this.items.get(key)
    if (!key || !item || !isLive(item)) return this.#say('an image of a schedule that is deleted, disabled or invalid is never deleted', `${what} of ${made.schedule}`)
    const newer = (of: View) => this.counted(key, made.server, of).findIndex((one) => one.id === id)
    if (newer(view) < 0) return this.#say('only good images are deleted', what)
    if (Math.max(newer(view), this.stale ? newer(sealedSince(this.stale, view)) : -1) < item.retention) {
      this.#say('the newest good images up to retention are kept', `${what} of ${made.schedule} has ${newer(view)} newer ones, and ${key} keeps ${item.retention}`)
    }
    const older = this.counted(key, made.server, view).slice(newer(view) + 1).find((one) => !this.#tried.has(one.id))
    if (older) this.#say('the oldest is deleted first', `${what} while ${older.name} (${older.id}) is there`)
  }

  /** What a failed attempt left behind: it can never be restored. */
  #isHollow(image: ImageSeen, made: Made, { snapshots }: View, now: Date): boolean {
    const needed = snapshotsOf(image)
    if (image.status === 'active') {
      if (needed.length === 0) return !image.size
      return needed.some((id) => ['error', 'error_deleting', undefined].includes(snapshots.get(id)?.status))
    }
    const cloud = this.#cloud()
    const server = cloud.servers().find(({ id }) => id === made.server)
    const age = now.getTime() - made.madeAt.getTime()
    return (image.status === 'queued' || image.status === 'saving') && age >= hollowAfterMs && (server?.taskState ?? null) === null
  }

  #judgeSnapshotDelete(id: string, view: View): void {
    const snapshot = view.snapshots.get(id)
    if (snapshot === undefined) return
    this.#count('volume snapshot delete')
    const what = `${snapshot.name} (${id})`
    if (this.#snapshotMakers.get(id) !== 'service') this.#say('a volume snapshot that people made is never deleted', what)
    const named = [...view.images.values()].find((image) => snapshotsOf(image).includes(id))
    if (named) this.#say('a volume snapshot that an image names is never deleted', `${what} of ${named.name} (${named.id})`)
  }

  /** By the listing that prune went by: a seal on an image that was freed a moment ago proves nothing, and harms nobody. */
  #judgePatch(id: string, view: View): void {
    const of = this.stale ?? view
    const image = of.images.get(id)
    if (image === undefined) return
    if (!this.made.has(id)) return this.#say('what people made is never changed', `${image.name} (${id})`)
    if (image.properties[createdBy] !== service) this.#say('an image whose mark was taken away is never changed', `${image.name} (${id})`)
    if (!this.isGood(image, of)) this.#say('only a good image is sealed', `${image.name} (${id})`)
  }

  /** Nothing but the seal with its tag, and who it is shared with, may come of a PATCH. */
  #judgeSeal(request: RecordedRequest, before: View, after: View): void {
    const [id = ''] = request.path.match(uuid) ?? []
    const [was, is] = [before.images.get(id), after.images.get(id)]
    if (was === undefined || is === undefined) return
    const sealed = { ...was, properties: { ...was.properties, [seal]: id }, tags: [...new Set([...was.tags, 'scheduled-images'])] }
    const { [sharedWith]: record = '' } = is.properties
    const recorded = { ...was, properties: { ...was.properties, [sharedWith]: record } }
    const shared = { ...was, visibility: is.visibility }
    if (![was, sealed, shared, ...(record.startsWith(id) ? [recorded] : [])].some((one) => same(one, is))) this.#say('nothing but the seal is written to an image', `${is.name} (${id})`)
  }
}

/** Whether anything may be done for an item. */
export function isLive(item: Item): boolean {
  return item.enabled && !item.broken
}

/** The ids of the Cinder snapshots that an image is made of. */
export function snapshotsOf(image: ImageSeen): string[] {
  const mapping = JSON.parse(image.properties['block_device_mapping'] ?? '[]') as { snapshot_id: string | null }[]
  return mapping.flatMap(({ snapshot_id }) => snapshot_id ?? [])
}

/** The one that a request is about. */
function serverOf({ service: of, path }: RecordedRequest, { servers }: View): ServerSeen | undefined {
  const [id] = of === 'compute' ? (path.match(uuid) ?? []) : []
  return servers.find((server) => server.id === id)
}

function samePeriod(a: Made, b: Made): boolean {
  return a.server === b.server && a.schedule === b.schedule && a.period === b.period
}

function same(a: ImageSeen, b: ImageSeen): boolean {
  const text = ({ properties, ...rest }: ImageSeen) => JSON.stringify([rest, Object.entries(properties).toSorted()])
  return text(a) === text(b)
}

/** A stale view, but for the images that were sealed since: whoever seals an image has looked at it. */
function sealedSince(stale: View, now: View): View {
  const images = [...stale.images].map(([id, then]) => [id, then.properties[seal] === id ? then : (now.images.get(id) ?? then)] as const)
  return { ...stale, images: new Map(images) }
}
