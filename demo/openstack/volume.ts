import { Refusal } from './answer.ts'
import type { Cloud, ImageRecord, ServerRecord, SnapshotRecord, TokenRecord, VolumeRecord } from './cloud.ts'
import { rootAttachment } from './cloud.ts'

/** How long the lab's storage takes for anything. */
const STORAGE_SECONDS = 0.1
const UNDELETABLE =
  'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer.'

/** The kinds of storage that the cloud has. */
export const VOLUME_TYPES = [
  { id: '0d8c1b5e-0000-4000-8000-000000000001', name: '__DEFAULT__', is_public: true, description: 'Default Volume Type', extra_specs: {}, 'os-volume-type-access:is_public': true },
] as const

/** What Cinder adds to an image's properties when it makes a volume of it; nova leaves these out again. */
export const IMAGE_ATTRIBUTES: ReadonlySet<string> = new Set(
  'image_id image_name size checksum container_format disk_format min_ram min_disk'.split(' '),
)

/** A new volume, attached or not: the caller says which by its status. */
export function newVolume(
  cloud: Cloud,
  owner: { projectId: string; userId: string },
  given: Partial<VolumeRecord> & { size: number },
): VolumeRecord {
  const createdAt = cloud.second()
  const volume: VolumeRecord = {
    id: cloud.ids.uuid(),
    name: '',
    projectId: owner.projectId,
    userId: owner.userId,
    status: 'available',
    snapshotId: null,
    type: VOLUME_TYPES[0].name,
    metadata: new Map(),
    imageMetadata: new Map(),
    createdAt,
    updatedAt: createdAt,
    ...given,
  }
  cloud.volumes.set(volume.id, volume)
  return volume
}

/** What a volume remembers of the image it was made from. */
export function volumeImageMetadata(image: ImageRecord): Map<string, string> {
  return new Map([
    ...image.properties,
    ['image_id', image.id],
    ['image_name', image.name ?? ''],
    ['container_format', image.containerFormat ?? ''],
    ['disk_format', image.diskFormat ?? ''],
    ['min_disk', String(image.minDisk)],
    ['min_ram', String(image.minRam)],
    ['size', String(image.size ?? 0)],
  ])
}

/** Whether the project may have `count` more snapshots. */
export function hasSnapshotRoom(cloud: Cloud, caller: TokenRecord, count: number): boolean {
  const quota = caller.project?.snapshotQuota ?? Infinity
  let used = 0
  for (const snapshot of cloud.snapshots.values()) if (snapshot.projectId === caller.project?.id) used += 1
  return used + count <= quota
}

/** Begins a snapshot: `creating`, then `available` or, with the volume's `lab_fail=snapshot`, `error`. */
export function startVolumeSnapshot(cloud: Cloud, volume: VolumeRecord, userId: string, name: string): SnapshotRecord {
  const createdAt = cloud.second()
  const snapshot: SnapshotRecord = {
    id: cloud.ids.uuid(),
    name,
    projectId: volume.projectId,
    userId,
    volumeId: volume.id,
    size: volume.size,
    status: 'creating',
    createdAt,
    updatedAt: null,
  }
  cloud.snapshots.set(snapshot.id, snapshot)
  const delay = Number(volume.metadata.get('lab_delay') ?? 0)
  const work = () => {
    snapshot.status = volume.metadata.get('lab_fail') === 'snapshot' ? 'error' : 'available'
    snapshot.updatedAt = cloud.second()
  }
  cloud.outages.whenUp('cinder-volume', () => cloud.agenda.in(STORAGE_SECONDS + delay, work))
  return snapshot
}

/** Begins to delete a snapshot. With the volume's `lab_fail=delete_snapshot` it is back, and nothing says why. */
export function deleteSnapshot(cloud: Cloud, snapshot: SnapshotRecord): void {
  if (!['available', 'error', 'error_deleting'].includes(snapshot.status)) {
    throw new Refusal(
      400,
      'Invalid snapshot: Snapshot status must be available or error and must not be part of a group.',
    )
  }
  snapshot.status = 'deleting'
  snapshot.updatedAt = cloud.second()
  cloud.agenda.in(STORAGE_SECONDS, () => {
    if (cloud.volumes.get(snapshot.volumeId)?.metadata.get('lab_fail') === 'delete_snapshot') {
      snapshot.status = 'available'
      snapshot.updatedAt = cloud.second()
    } else cloud.snapshots.delete(snapshot.id)
  })
}

/** Begins to delete a volume. @throws {@link Refusal} 400 while it is attached or has snapshots. */
export function deleteVolume(cloud: Cloud, volume: VolumeRecord): void {
  if (!['available', 'error'].includes(volume.status) || hasSnapshots(cloud, volume)) {
    throw new Refusal(400, UNDELETABLE)
  }
  volume.status = 'deleting'
  cloud.agenda.in(STORAGE_SECONDS, () => cloud.volumes.delete(volume.id))
}

/** Lets a deleted server's volumes go. One with snapshots stays behind, and nobody is told (lab README §1). */
export function releaseVolumes(cloud: Cloud, server: ServerRecord): void {
  for (const attachment of server.attachments) {
    const volume = cloud.volumes.get(attachment.volumeId)
    if (volume === undefined) continue
    volume.status = 'available'
    volume.updatedAt = cloud.second()
    if (attachment.deleteOnTermination && !hasSnapshots(cloud, volume)) deleteVolume(cloud, volume)
  }
}

function hasSnapshots(cloud: Cloud, volume: VolumeRecord): boolean {
  for (const { volumeId } of cloud.snapshots.values()) if (volumeId === volume.id) return true
  return false
}

/** The volume that a server boots from. */
export function rootVolume(cloud: Cloud, server: ServerRecord): VolumeRecord | undefined {
  return cloud.volumes.get(rootAttachment(server)?.volumeId ?? '')
}
