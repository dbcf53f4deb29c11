import { Refusal, escapeHtml } from './answer.ts'
import type { ActionEvent, Cloud, ImageFace, ImageRecord, InstanceAction, ServerRecord, TokenRecord } from './cloud.ts'
import { rootAttachment } from './cloud.ts'
import { checkProperties, propertyValue } from './image-patch.ts'
import { PROPERTY_LIMIT, READ_ONLY, checkImageQuota, faceOf, newImage, removeImage, storeData } from './image-record.ts'
import { hasSnapshotRoom, startVolumeSnapshot } from './volume.ts'

/** What nova says of every error that it did not expect; the error's class comes after it. */
export const UNEXPECTED =
  'Unexpected API Error. Please report this at http://bugs.launchpad.net/nova/ and attach the Nova API log if possible.'
/** Never passed on from the image that a server runs from. */
const NOT_INHERITED = new Set(['cache_in_nova', 'bittorrent', 'block_device_mapping', 'mappings'])
/** Metadata that the request's own values, or Glance's, silently replace (lab README §1). */
const IGNORED = new Set(['name', 'visibility', 'os_hash_value', 'os_hash_algo'])
/** Metadata whose string value breaks Glance's schema inside nova's own client: a 500 (lab README §1). */
const UNTYPED = new Set(
  'id tags size virtual_size min_ram min_disk protected os_hidden locations self kernel_id ramdisk_id'.split(' '),
)
const DISK_FORMATS = new Set('ami ari aki vhd vhdx vmdk raw qcow2 vdi iso ploop'.split(' '))
const CONTAINER_FORMATS = new Set('ami ari aki bare ovf ova docker compressed'.split(' '))
const STATUSES = new Set(
  'queued saving active killed deleted uploading importing pending_delete deactivated'.split(' '),
)
/** When a compute node that was down comes back: the server is free after the one, the image gone after the other (§7). */
const COMPUTE_BACK_SECONDS = { idle: 3, gone: 6 }
/** How often nova tries an upload that breaks (lab README §8). */
const UPLOAD_ATTEMPTS = 3

/** The image that is wanted of a server. */
export interface SnapshotOrder {
  readonly name: string
  readonly metadata: Readonly<Record<string, string>>
  /** Present: createBackup. */
  readonly backup?: { readonly type: string; readonly rotation: number }
  /** Called once the image is there and the server free again; not after a failure. */
  readonly done?: () => void
}

/** The error that nova makes of whatever it did not expect. */
export function unexpected(pythonClass: string): Refusal {
  return new Refusal(500, `${UNEXPECTED}\n<class '${pythonClass}'>`)
}

/**
 * Makes the `queued` image of an image-backed server and has the rest of its life happen: `saving`, `active`, the
 * server free again just after, or one of the failures that the server's metadata asks for (`lab_fail`).
 */
export function startSnapshot(
  cloud: Cloud,
  caller: TokenRecord,
  server: ServerRecord,
  action: InstanceAction,
  order: SnapshotOrder,
  taskStates = ['image_snapshot_pending', 'image_snapshot', 'image_pending_upload', 'image_uploading'],
): ImageRecord {
  const properties = inherit(server)
  const type: Record<string, string> = order.backup
    ? { image_type: 'backup', backup_type: order.backup.type }
    : { image_type: 'snapshot' }
  const own = { instance_uuid: server.id, user_id: caller.user.id, ...type, ...order.metadata }
  const image = submit(cloud, caller, server, order.name, properties, own)
  const { saving } = cloud.settings.snapshotSeconds
  const [pending = null, snapshot = null, prepared = null, uploading = null] = taskStates
  enter(cloud, server, pending)
  const step = event(cloud, action, 'compute_snapshot_instance')
  // The lab's driver reads its knobs when it gets to work, not when it is asked.
  const begin = () => {
    if (isLost(cloud, server, image, action, step)) return
    cloud.agenda.in(saving * 0.1, () => enter(cloud, server, snapshot))
    cloud.agenda.in(saving * 0.15, work)
  }
  const work = () => {
    if (server.metadata.get('lab_fail') === 'notrunning') {
      // Stuck: the task state stays until an administrator resets it (lab README §8).
      removeImage(cloud, image)
      finish(cloud, action, step, 'Error')
      return
    }
    if (!cloud.images.has(image.id)) {
      settle(cloud, server, action, step, 'Error')
      return
    }
    enter(cloud, server, prepared)
    const delay = Number(server.metadata.get('lab_delay') ?? 0)
    cloud.agenda.in(delay + saving * 0.05, () => upload(cloud, server, image, action, step, order, uploading))
  }
  cloud.outages.whenUp('rabbit', begin)
  return image
}

/** A snapshot that its compute node does not get to is not made up for: the node tidies up when it is back (lab README §7). */
function isLost(cloud: Cloud, server: ServerRecord, image: ImageRecord, action: InstanceAction, step: ActionEvent): boolean {
  if (!cloud.outages.isDown('nova-compute')) return false
  cloud.outages.whenUp('nova-compute', () => {
    cloud.agenda.in(COMPUTE_BACK_SECONDS.idle, () => settle(cloud, server, action, step, 'Error'))
    cloud.agenda.in(COMPUTE_BACK_SECONDS.gone, () => removeUnlessProtected(cloud, image))
  })
  return true
}

function upload(
  cloud: Cloud,
  server: ServerRecord,
  image: ImageRecord,
  action: InstanceAction,
  step: ActionEvent,
  order: SnapshotOrder,
  taskState: string | null,
): void {
  if (isLost(cloud, server, image, action, step)) return
  const fail = server.metadata.get('lab_fail')
  if (fail === 'snapshot') {
    removeUnlessProtected(cloud, image)
    settle(cloud, server, action, step, 'Error')
    return
  }
  enter(cloud, server, taskState)
  if (fail === 'queued') {
    settle(cloud, server, action, step, 'Success')
    return
  }
  const { saving, active, idle } = cloud.settings.snapshotSeconds
  const trickle = Number(server.metadata.get('lab_upload') ?? 0)
  const size = Math.round(Number(server.metadata.get('lab_size') ?? 16) * 1024)
  const broken = fail === 'upload'
  let attempts = 0
  const attempt = () => {
    // A deleted server's image goes when nova is about to upload, a while after the server (lab README §2).
    if (!cloud.servers.has(server.id)) removeUnlessProtected(cloud, image)
    if (!cloud.images.has(image.id)) {
      settle(cloud, server, action, step, 'Error')
      return
    }
    attempts += 1
    // What libvirt's driver, and so the lab's, writes with the upload (lab README §1).
    image.properties.set('owner_id', image.owner)
    image.properties.set('image_location', 'snapshot')
    image.properties.set('image_state', 'available')
    if (image.properties.size > PROPERTY_LIMIT) {
      // Accepted, and gone: seen on the lab with 116 to 118 items of metadata, where 119 are refused at once.
      removeUnlessProtected(cloud, image)
      settle(cloud, server, action, step, 'Error')
      return
    }
    image.diskFormat = 'raw'
    image.containerFormat = 'bare'
    image.status = 'saving'
    image.updatedAt = cloud.second()
    // The upload ends by saving the image as it is now: changes made meanwhile are lost (lab README §1).
    const face = faceOf(image)
    const seconds = active - saving + trickle
    cloud.agenda.in(broken ? seconds / 2 : seconds, () => arrive(face))
  }
  const arrive = (face: ImageFace) => {
    const there = cloud.images.has(image.id)
    if (there) Object.assign(image, face)
    if (there && broken) {
      image.status = 'queued'
      image.updatedAt = cloud.second()
      if (attempts < UPLOAD_ATTEMPTS) {
        cloud.agenda.in(saving * 0.3, attempt)
        return
      }
      removeUnlessProtected(cloud, image)
    } else if (there) storeData(cloud, image, size, '')
    const result = broken ? 'Error' : 'Success'
    // The server is busy a moment longer than the image (lab README §1).
    cloud.agenda.in(Math.max(0, idle - active), () => {
      settle(cloud, server, action, step, result)
      if (result === 'Success') order.done?.()
    })
  }
  cloud.agenda.in(saving * 0.8, attempt)
}

/** A protected image of a failed snapshot stays `queued` for ever (lab README §8). */
function removeUnlessProtected(cloud: Cloud, image: ImageRecord): void {
  if (!image.protected) removeImage(cloud, image)
}

/**
 * Makes the image of a volume-backed server: at once `active`, empty, and without any word of which server it came
 * from; its data are the Cinder snapshots that it names (lab README §1).
 */
export function snapshotVolumes(
  cloud: Cloud,
  caller: TokenRecord,
  server: ServerRecord,
  action: InstanceAction,
  order: SnapshotOrder,
): ImageRecord {
  const volumes = server.attachments.flatMap((attachment) => {
    const volume = cloud.volumes.get(attachment.volumeId)
    return volume === undefined ? [] : [{ attachment, volume }]
  })
  // For all volumes, before any is made (lab README §3).
  if (!hasSnapshotRoom(cloud, caller, volumes.length)) {
    throw new Refusal(403, 'Quota exceeded for resources: snapshots')
  }
  const step = event(cloud, action, 'api_snapshot_volume_backed')
  for (const { volume } of volumes) {
    if (volume.status === 'in-use' || volume.status === 'available') continue
    throw new Refusal(
      400,
      `Invalid input received: Invalid volume: Volume ${volume.id} status must be available, in-use, but current status is: ${volume.status}. (HTTP 400) (Request-ID: ${action.requestId})`,
    )
  }
  const mapping = volumes.map(({ attachment, volume }) => {
    const snapshot = startVolumeSnapshot(cloud, volume, caller.user.id, `snapshot for ${order.name}`)
    return {
      snapshot_id: snapshot.id,
      destination_type: 'volume',
      device_type: null,
      volume_size: volume.size,
      image_id: null,
      no_device: null,
      encrypted: null,
      source_type: 'snapshot',
      device_name: attachment.device,
      volume_id: null,
      tag: null,
      volume_type: null,
      boot_index: attachment.bootIndex,
      disk_bus: null,
      delete_on_termination: attachment.deleteOnTermination,
      guest_format: null,
      encryption_secret_uuid: null,
      encryption_format: null,
      encryption_options: null,
    }
  })
  const own = {
    root_device_name: rootAttachment(server)?.device ?? '/dev/sda',
    block_device_mapping: JSON.stringify(mapping),
    bdm_v2: 'True',
  }
  // Glance is asked last: where it refuses, the snapshots stay, and nothing says which image they were for.
  const image = submit(cloud, caller, server, order.name, inherit(server), { ...order.metadata, ...own })
  image.diskFormat = 'qcow2'
  image.containerFormat = 'bare'
  storeData(cloud, image, 0, '')
  finish(cloud, action, step, 'Success')
  return image
}

function inherit(server: ServerRecord): Map<string, string> {
  return new Map([...server.inherited].filter(([key]) => !NOT_INHERITED.has(key)))
}

/** Hands the new image to Glance, as nova's client does, and words Glance's refusals as nova does. */
function submit(
  cloud: Cloud,
  caller: TokenRecord,
  server: ServerRecord,
  name: string,
  properties: Map<string, string>,
  given: Readonly<Record<string, string>>,
): ImageRecord {
  if (cloud.outages.isDown('glance')) throw unexpected('nova.exception.GlanceConnectionFailed')
  try {
    for (const [key, value] of Object.entries(given)) {
      if (!IGNORED.has(key) && !isFormat(key, value)) properties.set(key, judged(server, key, value))
    }
    properties.delete('owner')
    checkProperties(properties)
    checkImageQuota(cloud, caller)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (error.status === 413) throw unexpected('glanceclient.exc.HTTPOverLimit')
    if (error.status === 500 && !error.message.startsWith(UNEXPECTED)) {
      throw unexpected('glanceclient.exc.HTTPInternalServerError')
    }
    if (error.status === 400) throw new Refusal(400, `HTTP 400 Bad Request: ${escapeHtml(error.message)}`)
    if (error.status === 403) throw new Refusal(403, `HTTP 403 Forbidden: ${escapeHtml(error.message)}`)
    throw error
  }
  return newImage(cloud, server.projectId, { name, properties, visibility: 'private', minDisk: server.minDisk })
}

function isFormat(key: string, value: string): boolean {
  if (key !== 'disk_format' && key !== 'container_format') return false
  if (!(key === 'disk_format' ? DISK_FORMATS : CONTAINER_FORMATS).has(value)) throw unexpected('TypeError')
  return true
}

/** What may be given as metadata of an image (lab README §1). */
function judged(server: ServerRecord, key: string, value: string): string {
  if (UNTYPED.has(key) || (key === 'status' && !STATUSES.has(value))) throw unexpected('TypeError')
  if (key === 'owner' && value !== server.projectId) {
    throw new Refusal(403, `You are not permitted to create images owned by '${value}'.`)
  }
  if (READ_ONLY.has(key) || key === 'stores') throw new Refusal(403, `Attribute '${key}' is read-only.`)
  if (key.startsWith('os_glance_')) {
    throw new Refusal(403, `Access was denied to this resource.: Attribute '${key}' is reserved.`)
  }
  return propertyValue(key, value)
}

function enter(cloud: Cloud, server: ServerRecord, taskState: string | null): void {
  // A server that is being deleted keeps saying so.
  if (server.taskState === 'deleting' || server.vmState === 'deleted') return
  server.taskState = taskState
  server.updatedAt = cloud.second()
}

function settle(
  cloud: Cloud,
  server: ServerRecord,
  action: InstanceAction,
  step: ActionEvent,
  result: 'Success' | 'Error',
): void {
  enter(cloud, server, null)
  finish(cloud, action, step, result)
}

/** Begins an event of an action, as os-instance-actions shows it. */
export function event(cloud: Cloud, action: InstanceAction, name: string): ActionEvent {
  const step: ActionEvent = { event: name, startedAt: cloud.second(), finishedAt: null, result: null }
  action.events.push(step)
  return step
}

/** Ends an event; an error is the action's message, the only trace of it (lab README §8). */
export function finish(cloud: Cloud, action: InstanceAction, step: ActionEvent, result: 'Success' | 'Error'): void {
  step.finishedAt = cloud.second()
  step.result = result
  action.updatedAt = cloud.second()
  if (result === 'Error') action.message = 'Error'
}
