import { marks, volumeSnapshots, type Image, type VolumeSnapshot } from '../model/image.ts'
import type { ParsedSchedule } from '../model/schedule.ts'
import type { Evidence } from '../planner/gate.ts'
import { existingKeys, schedulesOf } from './items.ts'
import { listMarked, listWithHidden } from './observation.ts'
import type { Cloud } from './ports.ts'

/** One cloud's scheduled images as they are, for a person to look at. */
export interface Inventory {
  readonly evidence: Evidence
  /** Cinder's snapshots, by id; empty when no image has any. */
  readonly snapshots: ReadonlyMap<string, VolumeSnapshot>
}

/**
 * Lists what prune would look at: the images of one server, those without our mark among them, or every marked one.
 *
 * @param name - Of the cloud.
 * @param server - UUID.
 * @throws ScheduledImagesError when a listing is not complete.
 */
export async function takeInventory(name: string, cloud: Cloud, server: string | undefined, parsed: readonly ParsedSchedule[]): Promise<Inventory> {
  const images = server === undefined ? await listMarked(cloud) : await listWithHidden(cloud, { [marks.server]: server })
  const backed = images.some((image) => volumeSnapshots(image).kind === 'snapshots')
  const snapshots = backed ? await cloud.blockStorage.listSnapshots() : new Map<string, VolumeSnapshot>()
  return {
    evidence: {
      project: cloud.project,
      images,
      schedules: schedulesOf(name, parsed),
      existing: existingKeys(parsed),
      statuses: new Map([...snapshots].map(([id, { status }]) => [id, status])),
    },
    snapshots,
  }
}

/** What an image takes up: its bytes, or the sizes of the volumes that its snapshots are of. */
export function sizeOf(image: Image, snapshots: ReadonlyMap<string, VolumeSnapshot>): number {
  const mapping = volumeSnapshots(image)
  if (mapping.kind !== 'snapshots') return image.size ?? 0
  return mapping.ids.reduce((sum, id) => sum + (snapshots.get(id)?.sizeGiB ?? 0) * 2 ** 30, 0)
}
