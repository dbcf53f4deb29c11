import { Refusal } from './answer.ts'
import type { Attachment, Cloud, FlavorRecord, ImageRecord, ServerRecord, TokenRecord, VolumeRecord } from './cloud.ts'
import { rootAttachment } from './cloud.ts'
import { isVisible } from './image-record.ts'
import { str } from './python.ts'
import type { Json } from './request-schema.ts'
import { checkMetadata, checkName, checkObject, invalid, isObject } from './request-schema.ts'
import { checkTags } from './server-tags.ts'
import { POWER } from './server-view.ts'
import { demandRoom, lackOfVolumes } from './quota.ts'
import { IMAGE_ATTRIBUTES, VOLUME_TYPES, newVolume, releaseVolumes, rootVolume, volumeImageMetadata } from './volume.ts'

/** How long a server takes to boot, to be rebuilt, and to go. */
const BOOT_SECONDS = 1
const DELETE_SECONDS = 0.4
/** Where servers run unless told otherwise. */
export const DEFAULT_HOST = 'compute-1'
const GIB = 1024 ** 3
const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i
const SERVER_KEYS =
  `name flavorRef imageRef metadata networks block_device_mapping_v2 adminPass availability_zone config_drive
   description hostname key_name max_count min_count security_groups user_data OS-DCF:diskConfig`.split(/\s+/)

/** One disk of a new server, before it exists. */
interface Disk {
  readonly bootIndex: number
  readonly deleteOnTermination: boolean
  readonly local: boolean
  readonly image?: ImageRecord
  readonly snapshotId?: string
  readonly volume?: VolumeRecord
  readonly size: number
  readonly device?: string
  readonly type?: string
}

/**
 * Starts a server as `POST /servers` asks, from an image, volumes, or a snapshot of either kind.
 *
 * @throws {@link Refusal} for what nova refuses at once; what fails later leaves the server in `ERROR`.
 */
export function bootServer(cloud: Cloud, caller: TokenRecord, body: Json, minor: number): ServerRecord {
  if (!('server' in body)) throw new Refusal(400, "'server' is a required property")
  const keys = minor >= 52 ? [...SERVER_KEYS, 'tags'] : SERVER_KEYS
  const wanted = checkObject('server', body['server'], ['name', 'flavorRef', ...(minor >= 37 ? ['networks'] : [])], keys)
  checkNetworks(wanted['networks'] ?? [])
  const name = checkName(wanted['name'])
  const metadata = new Map(Object.entries(checkMetadata(wanted['metadata'] ?? {})))
  const tags = checkTags(wanted['tags'] ?? [])
  const flavor = cloud.flavors.get(String(wanted['flavorRef']))
  const imageRef = wanted['imageRef'] ?? ''
  if (typeof imageRef !== 'string' || (imageRef !== '' && !UUID.test(imageRef))) {
    throw invalid('imageRef', imageRef, `'${String(imageRef)}' is not valid under any of the given schemas`)
  }
  const image = imageRef === '' ? undefined : bootImage(cloud, caller, imageRef, 'Can not find requested image')
  const given = wanted['block_device_mapping_v2']
  const asked = (Array.isArray(given) ? given : []).map((item) => disk(cloud, caller, item, minor))
  // A disk that is named again is taken as it is asked for; Nova knows it by its device alone.
  const mapped = mappedDisks(cloud, caller, image).filter(({ device }) => device === undefined || !asked.some((each) => each.device === device))
  const disks = [...mapped, ...asked]
  if (disks.filter(({ bootIndex }) => bootIndex === 0).length > 1) {
    throw new Refusal(400, 'Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.')
  }
  if (image === undefined && !disks.some(({ bootIndex }) => bootIndex === 0)) {
    throw new Refusal(400, 'Missing imageRef attribute')
  }
  if (flavor === undefined) throw new Refusal(400, `Flavor ${String(wanted['flavorRef'])} could not be found.`)
  const root = disks.find(({ bootIndex, local }) => bootIndex === 0 && !local)
  if (root === undefined && flavor.disk === 0) {
    throw new Refusal(403, 'Only volume-backed servers are allowed for flavors with zero disk.')
  }
  if (caller.project === undefined) {
    throw new Refusal(403, "Policy doesn't allow os_compute_api:servers:create to be performed.")
  }
  if (image !== undefined) demandFit(flavor, image, root !== undefined)
  const keyName = wanted['key_name']
  if (typeof keyName === 'string' && !caller.user.keys.has(keyName)) throw new Refusal(400, 'Invalid key_name provided.')
  if (![undefined, 'nova'].includes(wanted['availability_zone'] as string | undefined)) {
    throw new Refusal(400, 'The requested availability zone is not available')
  }
  demandRoom(cloud, caller.project, flavor)
  const inherited = marks(image ?? root?.image, root === undefined ? undefined : sourceVolume(cloud, root))
  // An image that has one passes its own base on, be it empty (lab README §1).
  if (!inherited.has('base_image_ref')) inherited.set('base_image_ref', imageRef)
  const server = newServer(cloud, {
    name,
    projectId: caller.project.id,
    userId: caller.user.id,
    flavorId: flavor.id,
    keyName: typeof keyName === 'string' ? keyName : null,
    metadata,
    imageRef,
    inherited: withBooter(inherited, caller),
    minDisk: Math.max(flavor.disk, (image ?? root?.image)?.minDisk ?? 1),
  })
  server.tags = tags
  server.taskState = 'scheduling'
  cloud.agenda.in(BOOT_SECONDS / 2, () => {
    if (server.vmState !== 'building') return
    server.taskState = 'spawning'
    server.host = DEFAULT_HOST
  })
  cloud.agenda.in(BOOT_SECONDS, () => spawn(cloud, server, disks))
  return server
}

/** Who asked for it becomes part of every snapshot of it (lab README §1). */
export function withBooter(inherited: Map<string, string>, caller: TokenRecord): Map<string, string> {
  inherited.set('owner_user_name', caller.user.name)
  inherited.set('owner_project_name', caller.project?.name ?? '')
  inherited.set('boot_roles', caller.role === 'reader' ? 'reader' : 'reader,member')
  return inherited
}

/** What a server takes over from the image or volume it starts from; values as long as nova's column. */
export function marks(image: ImageRecord | undefined, volume?: VolumeRecord): Map<string, string> {
  const properties = image?.properties ?? volume?.imageMetadata ?? new Map<string, string>()
  return new Map(
    [...properties]
      .filter(([key]) => image !== undefined || !IMAGE_ATTRIBUTES.has(key))
      .filter(([key]) => key !== 'block_device_mapping')
      .map(([key, value]) => [key, value.slice(0, 255)]),
  )
}

/** A server of the given making, still building. */
export function newServer(
  cloud: Cloud,
  given: Pick<
    ServerRecord,
    'name' | 'projectId' | 'userId' | 'flavorId' | 'keyName' | 'metadata' | 'imageRef' | 'inherited' | 'minDisk'
  >,
): ServerRecord {
  const createdAt = cloud.second()
  const server: ServerRecord = {
    ...given,
    id: cloud.ids.uuid(),
    vmState: 'building',
    taskState: null,
    powerState: POWER.none,
    tags: [],
    host: '',
    attachments: [],
    locked: false,
    shelvedImageId: null,
    fault: null,
    actions: [],
    createdAt,
    updatedAt: createdAt,
    launchedAt: null,
  }
  cloud.servers.set(server.id, server)
  return server
}

function spawn(cloud: Cloud, server: ServerRecord, disks: readonly Disk[]): void {
  if (server.vmState !== 'building') return
  server.taskState = null
  server.updatedAt = cloud.second()
  const unready = disks.find(({ snapshotId: id }) => id !== undefined && cloud.snapshots.get(id)?.status !== 'available')
  if (unready !== undefined || server.metadata.get('lab_fail') === 'spawn') {
    const message =
      unready === undefined
        ? 'Build of instance aborted: oslab: spawn failed on purpose'
        : "Invalid input received: Invalid snapshot: Originating snapshot status must be one of 'available' values"
    breakServer(cloud, server, 500, message)
    server.host = ''
    return
  }
  const lack = lackOfVolumes(cloud, server, disks.filter(({ local, volume }) => !local && volume === undefined))
  if (lack !== undefined) {
    breakServer(cloud, server, 500, lack)
    server.host = ''
    return
  }
  for (const found of disks) if (!found.local) attach(cloud, server, found)
  server.vmState = 'active'
  server.powerState = POWER.running
  server.launchedAt = cloud.second()
}

/** Puts a server into `ERROR`, with the fault that it shows from then on. */
export function breakServer(cloud: Cloud, server: ServerRecord, code: number, message: string): void {
  server.vmState = 'error'
  server.taskState = null
  server.updatedAt = cloud.second()
  server.fault = { code, message, createdAt: cloud.second() }
}

/** Makes the disk's volume, or takes the one there is, and attaches it. */
export function attach(cloud: Cloud, server: ServerRecord, disk: Disk): void {
  const volume = disk.volume ?? volumeFor(cloud, server, disk)
  volume.status = 'in-use'
  volume.updatedAt = cloud.second()
  const attachment: Attachment = {
    volumeId: volume.id,
    device: `/dev/sd${String.fromCharCode(97 + (disk.bootIndex === 0 ? 0 : Math.max(1, server.attachments.length)))}`,
    bootIndex: disk.bootIndex,
    deleteOnTermination: disk.deleteOnTermination,
    attachmentId: cloud.ids.uuid(),
    bdmId: cloud.ids.uuid(),
  }
  server.attachments.push(attachment)
}

function volumeFor(cloud: Cloud, server: ServerRecord, disk: Disk): VolumeRecord {
  const imageMetadata = disk.image
    ? volumeImageMetadata(disk.image)
    : new Map(sourceVolume(cloud, disk)?.imageMetadata)
  const blank = disk.image === undefined && disk.snapshotId === undefined
  return newVolume(cloud, server, {
    size: disk.size,
    name: blank ? `${server.id}-blank-vol` : '',
    snapshotId: disk.snapshotId ?? null,
    type: disk.type ?? VOLUME_TYPES[0].name,
    imageMetadata: blank ? new Map() : imageMetadata,
  })
}

function sourceVolume(cloud: Cloud, disk: Disk): VolumeRecord | undefined {
  return disk.volume ?? cloud.volumes.get(cloud.snapshots.get(disk.snapshotId ?? '')?.volumeId ?? '')
}

/** @throws {@link Refusal} 400 for an image that is not there, or not ready. */
export function bootImage(cloud: Cloud, caller: TokenRecord, id: string, missing: string): ImageRecord {
  const image = cloud.images.get(id)
  if (image === undefined || !isVisible(image, caller)) throw new Refusal(400, missing)
  if (image.status !== 'active') throw new Refusal(400, `Image ${id} is not active.`)
  return image
}

/** @throws {@link Refusal} 400 for a flavor that is too small for an image. */
function demandFit(flavor: FlavorRecord, image: ImageRecord, volumeBacked: boolean): void {
  if (flavor.ram < image.minRam) throw new Refusal(400, "Flavor's memory is too small for requested image.")
  const [disk, least] = [flavor.disk * GIB, image.minDisk * GIB]
  if (!volumeBacked && flavor.disk > 0 && disk < least) {
    throw new Refusal(
      400,
      `Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is ${disk} bytes, minimum size is ${least} bytes.`,
    )
  }
}

/** There is no network to name, as in the lab. @throws {@link Refusal} 400 */
function checkNetworks(given: unknown): void {
  for (const network of Array.isArray(given) ? given : []) {
    const id = isObject(network) ? network['uuid'] : undefined
    if (typeof id !== 'string' || !UUID.test(id)) throw invalid('networks', given, `${str(given)} is not valid under any of the given schemas`)
    throw new Refusal(400, `Network ${id} could not be found.`)
  }
}

/** The disks that a volume-backed snapshot names; none for an ordinary image. */
function mappedDisks(cloud: Cloud, caller: TokenRecord, image: ImageRecord | undefined): Disk[] {
  const mapping: unknown = JSON.parse(image?.properties.get('block_device_mapping') ?? '[]')
  return (Array.isArray(mapping) ? mapping : []).map((item) => disk(cloud, caller, item, Infinity))
}

function disk(cloud: Cloud, caller: TokenRecord, item: unknown, minor: number): Disk {
  if (!isObject(item)) throw invalid('block_device_mapping_v2', item, 'is not of type object')
  const type = item['volume_type']
  if ('volume_type' in item && minor < 67) {
    throw invalid('0', item, "Additional properties are not allowed ('volume_type' was unexpected)")
  }
  if (typeof type === 'string' && !VOLUME_TYPES.some(({ id, name }) => type === name || type === id)) {
    throw new Refusal(400, `Volume type ${type} could not be found.`)
  }
  const device = item['device_name']
  const source = item['source_type']
  const ref = item['snapshot_id'] ?? item['uuid'] ?? item['image_id'] ?? item['volume_id']
  const id = typeof ref === 'string' ? ref : ''
  const index = item['boot_index']
  const common = {
    bootIndex: typeof index === 'number' ? index : -1,
    deleteOnTermination: item['delete_on_termination'] === true,
    local: item['destination_type'] === 'local',
    size: Number(item['volume_size'] ?? 1),
    ...(typeof device === 'string' && { device }),
    ...(typeof type === 'string' && { type }),
  }
  if (source === 'image') return { ...common, image: bootImage(cloud, caller, id, 'Can not find requested image') }
  if (source === 'snapshot') {
    // Cinder shares nothing between projects, so a shared image of a volume-backed server is of no use in another.
    if (cloud.snapshots.get(id)?.projectId !== caller.project?.id) {
      throw new Refusal(400, `Block Device Mapping is Invalid: failed to get snapshot ${id}.`)
    }
    return { ...common, snapshotId: id }
  }
  if (source === 'volume') {
    const volume = cloud.volumes.get(id)
    if (volume === undefined) throw new Refusal(400, `Block Device Mapping is Invalid: failed to get volume ${id}.`)
    return { ...common, volume }
  }
  return common
}

/**
 * Rebuilds a server from an image. Its name, id and metadata stay; a stopped one ends stopped.
 *
 * @throws {@link Refusal} 400 where nova finds the image, or the disk, unfit (lab README §9).
 */
export function rebuildServer(
  cloud: Cloud,
  caller: TokenRecord,
  server: ServerRecord,
  imageId: string,
  minor: number,
): void {
  const image = bootImage(cloud, caller, imageId, 'Cannot find image for rebuild')
  const backing = rootAttachment(server)
  const flavor = cloud.flavors.get(server.flavorId)
  if (flavor !== undefined) demandFit(flavor, image, backing !== undefined)
  if (backing !== undefined && minor < 93) {
    throw new Refusal(
      400,
      `Image ${imageId} is unacceptable: Unable to rebuild with a different image for a volume-backed server.`,
    )
  }
  const after = server.vmState === 'stopped' ? 'stopped' : 'active'
  const kept = ['owner_user_name', 'owner_project_name', 'boot_roles'].flatMap((key) => {
    const value = server.inherited.get(key)
    return value === undefined ? [] : [[key, value] as const]
  })
  server.inherited = new Map([...marks(image), ['base_image_ref', imageId], ...kept])
  // A volume-backed server goes on showing what it was booted from.
  if (backing === undefined) server.imageRef = imageId
  server.taskState = 'rebuilding'
  server.updatedAt = cloud.second()
  const volume = rootVolume(cloud, server)
  if (volume !== undefined) volume.status = 'downloading'
  cloud.agenda.in(BOOT_SECONDS, () => {
    if (server.taskState !== 'rebuilding') return
    server.taskState = null
    server.vmState = after
    server.powerState = after === 'active' ? POWER.running : POWER.shutdown
    server.updatedAt = cloud.second()
    if (server.metadata.get('lab_fail') === 'spawn') {
      breakServer(cloud, server, 500, 'oslab: spawn failed on purpose')
    }
    // Nova does not wait for Cinder, and Cinder refuses the empty image of a volume-backed snapshot (lab README §9).
    if (volume !== undefined) volume.status = image.size === 0 ? 'error' : 'in-use'
  })
}

/** Deletes a server; for a moment it is still there (lab README §2). */
export function deleteServer(cloud: Cloud, server: ServerRecord): void {
  if (server.taskState === 'deleting' || server.vmState === 'deleted') return
  server.taskState = 'deleting'
  server.updatedAt = cloud.second()
  cloud.agenda.in(DELETE_SECONDS / 2, () => {
    // Still found by its id, no longer in lists.
    server.vmState = 'deleted'
    server.taskState = null
  })
  cloud.agenda.in(DELETE_SECONDS, () => {
    cloud.servers.delete(server.id)
    releaseVolumes(cloud, server)
  })
}
