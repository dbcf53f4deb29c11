import { marks, volumeSnapshots, type Image, type VolumeSnapshot } from '../model/image.ts'
import { cadences, type ParsedSchedule } from '../model/schedule.ts'
import type { Evidence } from '../planner/gate.ts'
import { listMarked } from './observation.ts'
import type { Cloud, Schedules } from './ports.ts'

/** One cloud's scheduled images as they are, for a person to look at. */
export interface Inventory {
  readonly evidence: Evidence
  /** Cinder's snapshots, by id; empty when no image has any. */
  readonly snapshots: ReadonlyMap<string, VolumeSnapshot>
}

/** Every item of every cadence. */
export async function allSchedules(schedules: Pick<Schedules, 'query'>): Promise<ParsedSchedule[]> {
  return (await Promise.all(cadences.map((cadence) => schedules.query(cadence)))).flat()
}

/**
 * Lists what prune would look at: the images of one server, those without our mark among them, or every marked one.
 *
 * @param name - Of the cloud.
 * @param server - UUID.
 * @throws ScheduledImagesError when a listing is not complete.
 */
export async function takeInventory(name: string, cloud: Cloud, server: string | undefined, parsed: readonly ParsedSchedule[]): Promise<Inventory> {
  const images = server === undefined ? await listMarked(cloud) : await imagesOf(server, cloud)
  const backed = images.some((image) => volumeSnapshots(image).kind === 'snapshots')
  const snapshots = backed ? await cloud.blockStorage.listSnapshots() : new Map<string, VolumeSnapshot>()
  return {
    evidence: {
      project: cloud.project,
      images,
      schedules: parsed.flatMap((item) => (item.valid && item.schedule.enabled && item.schedule.cloud === name ? [item.schedule] : [])),
      existing: new Set(parsed.map((item) => (item.valid ? item.schedule.key : item.invalid.key))),
      statuses: new Map([...snapshots].map(([id, { status }]) => [id, status])),
    },
    snapshots,
  }
}

/** Hidden ones too. */
async function imagesOf(server: string, cloud: Cloud): Promise<Image[]> {
  const filter = { owner: cloud.project, properties: { [marks.server]: server } }
  return (await Promise.all([false, true].map((hidden) => cloud.image.listImages({ ...filter, hidden })))).flat()
}

/** What an image takes up: its bytes, or the sizes of the volumes that its snapshots are of. */
export function sizeOf(image: Image, snapshots: ReadonlyMap<string, VolumeSnapshot>): number {
  const mapping = volumeSnapshots(image)
  if (mapping.kind !== 'snapshots') return image.size ?? 0
  return mapping.ids.reduce((sum, id) => sum + (snapshots.get(id)?.sizeGiB ?? 0) * 2 ** 30, 0)
}
