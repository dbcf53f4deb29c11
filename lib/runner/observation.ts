import { hasCode } from '../model/errors.ts'
import { createdBy, marks, type Image, type VolumeSnapshot } from '../model/image.ts'
import type { SnapshotStatuses } from '../planner/goodness.ts'
import type { Cloud, Ports } from './ports.ts'

/** What one invocation sees of one cloud, and what it may still do there. */
export interface Observation {
  readonly cloud: Cloud
  /** Every image of the project that carries our mark, by id. */
  readonly images: Map<string, Image>
  /** Cinder's snapshots by id, listed at the first call; undefined when they could not be had. */
  readonly snapshots: () => Promise<ReadonlyMap<string, VolumeSnapshot> | undefined>
  /** The states of the same. */
  readonly statuses: () => Promise<SnapshotStatuses | undefined>
  /** Every image of the project whatever its marks, hidden ones too, listed at the first call. */
  readonly everyImage: () => Promise<readonly Image[]>
  readonly allowance: Allowance
  /** Has the cloud pruned at the next tick if this invocation should not come to it. */
  readonly announcePrune: () => Promise<void>
}

/** How many images may still be deleted. */
export interface Allowance {
  /** @returns false when none may. */
  take(): boolean
  /** None was taken. */
  isWhole(): boolean
}

/** @param announce - Called once, at the first {@link Observation.announcePrune}. */
export function observe(name: string, cloud: Cloud, images: readonly Image[], announce: () => Promise<void>, ports: Ports): Observation {
  let announced: Promise<void> | undefined
  let listing: Promise<ReadonlyMap<string, VolumeSnapshot> | undefined> | undefined
  let everything: Promise<Image[]> | undefined
  let left = ports.maxDeletes
  const snapshots = () => (listing ??= listSnapshots(name, cloud, ports))
  return {
    cloud,
    images: new Map(images.map((image) => [image.id, image])),
    snapshots,
    statuses: async () => {
      const listed = await snapshots()
      return listed && new Map([...listed].map(([id, { status }]) => [id, status]))
    },
    everyImage: () => (everything ??= listWithHidden(cloud, {})),
    allowance: { take: () => left-- > 0, isWhole: () => left === ports.maxDeletes },
    announcePrune: () => (announced ??= announce()),
  }
}

/**
 * Lists the images of the project that carry our mark. Compared again here, exactly: Glance's filter ignores letter case, and
 * one that it does not know finds nothing (lab finding, §5).
 */
export async function listMarked(cloud: Cloud): Promise<Image[]> {
  const images = await cloud.image.listImages({ owner: cloud.project, properties: { [marks.createdBy]: createdBy } })
  return images.filter(({ owner, properties }) => owner === cloud.project && properties[marks.createdBy] === createdBy)
}

/** Lists the images of the project that have these property values, hidden ones too: people hide those that they keep. */
export async function listWithHidden({ image, project }: { readonly image: Pick<Cloud['image'], 'listImages'>; readonly project: string }, properties: Record<string, string>): Promise<Image[]> {
  return (await Promise.all([false, true].map((hidden) => image.listImages({ owner: project, properties, hidden })))).flat()
}

/** Without Cinder's listing no volume-backed image is judged, and so none is deleted; the others go on. */
async function listSnapshots(name: string, cloud: Cloud, ports: Ports): Promise<ReadonlyMap<string, VolumeSnapshot> | undefined> {
  try {
    return await cloud.blockStorage.listSnapshots()
  } catch (error) {
    if (!hasCode(error)) throw error
    ports.log.error(`volume-backed images are left alone: ${error.message}`, { cloud: name, code: error.code, requestId: error.requestId })
    return undefined
  }
}
