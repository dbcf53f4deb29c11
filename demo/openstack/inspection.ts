import type { ImageMember, ImageRecord, ImageStatus, ServerRecord, SnapshotRecord, Visibility, VolumeRecord } from './cloud.ts'
import { rootAttachment } from './cloud.ts'
import { statusOf } from './server-view.ts'

/** An image as the operator sees it. */
export interface ImageSeen {
  readonly id: string
  readonly name: string | null
  /** A project's id. */
  readonly owner: string
  readonly status: ImageStatus
  readonly visibility: Visibility
  /** The status of each member, by its project's id. */
  readonly members: Readonly<Record<string, ImageMember['status']>>
  readonly tags: readonly string[]
  readonly properties: Readonly<Record<string, string>>
  readonly protected: boolean
  readonly hidden: boolean
  readonly size: number | null
  readonly minDiskGiB: number
  readonly minRamMiB: number
  readonly createdAt: Date
}

/** A server as the operator sees it. */
export interface ServerSeen {
  readonly id: string
  readonly name: string
  readonly projectId: string
  readonly status: string
  readonly taskState: string | null
  readonly metadata: Readonly<Record<string, string>>
  readonly tags: readonly string[]
  /** The hypervisor's own name; members see a hash of it. Empty while it is on none. */
  readonly host: string
  readonly imageId: string
  readonly volumeBacked: boolean
  /** The root first. */
  readonly volumeIds: readonly string[]
}

/** A Cinder snapshot as the operator sees it. */
export interface SnapshotSeen {
  readonly id: string
  readonly name: string
  readonly projectId: string
  readonly volumeId: string
  readonly status: string
}

/** A Cinder volume as the operator sees it. */
export interface VolumeSeen {
  readonly id: string
  readonly name: string
  readonly projectId: string
  readonly status: string
  readonly size: number
  readonly metadata: Readonly<Record<string, string>>
}

/** A copy to look at. */
export function seenImage(image: ImageRecord): ImageSeen {
  const { id, name, owner, status, visibility, hidden, size } = image
  return {
    id,
    name,
    owner,
    status,
    visibility,
    members: Object.fromEntries([...image.members.values()].map((member) => [member.projectId, member.status])),
    tags: [...image.tags],
    properties: Object.fromEntries(image.properties),
    protected: image.protected,
    hidden,
    size,
    minDiskGiB: image.minDisk,
    minRamMiB: image.minRam,
    createdAt: new Date(image.createdAt),
  }
}

/** A copy to look at. */
export function seenServer(server: ServerRecord): ServerSeen {
  const { id, name, projectId, taskState, imageRef, host } = server
  return {
    id,
    name,
    projectId,
    status: statusOf(server),
    taskState,
    metadata: Object.fromEntries(server.metadata),
    tags: [...server.tags],
    host,
    imageId: imageRef,
    volumeBacked: rootAttachment(server) !== undefined,
    volumeIds: server.attachments.map(({ volumeId }) => volumeId),
  }
}

/** A copy to look at. */
export function seenSnapshot({ id, name, projectId, volumeId, status }: SnapshotRecord): SnapshotSeen {
  return { id, name, projectId, volumeId, status }
}

/** A copy to look at. */
export function seenVolume({ id, name, projectId, status, size, metadata }: VolumeRecord): VolumeSeen {
  return { id, name, projectId, status, size, metadata: Object.fromEntries(metadata) }
}
