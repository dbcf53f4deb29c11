import type { ImageSeen, OpenStackSimulator } from '../../demo/openstack/simulator.ts'

/** What a schedule promises to keep, for the reckoning that owes nothing to the code that it checks. */
export interface Promised {
  readonly schedule: string
  readonly server: string
  readonly retention: number
}

/**
 * Why an image must be there as long as the cloud is as it is now, by what the cloud itself knows; undefined if retention
 * lets it go. Written from the design's words alone.
 */
export function mustKeep(id: string, cloud: OpenStackSimulator, project: string, promises: readonly Promised[]): string | undefined {
  const images = cloud.images()
  const image = images.find((one) => one.id === id)
  if (!image) return undefined
  const { properties } = image
  if (image.owner !== project) return 'it belongs to another project'
  if (properties['org.openstack__1__created_by'] !== 'scheduled_images_service') return 'it does not carry the mark'
  if (properties['scheduled_images__image'] !== id) return 'it is not sealed'
  if (image.protected) return 'it is protected'
  if (!isGood(image, cloud)) return 'it is not good'
  const promise = promises.find(({ schedule, server }) => properties['scheduled_images__schedule'] === schedule && properties['instance_uuid'] === server)
  if (!promise) return 'it is of no schedule that there is'
  const newer = images.filter(
    (other) =>
      other.owner === project && !other.protected && isGood(other, cloud) && isNewer(other, image) &&
      other.properties['scheduled_images__image'] === other.id &&
      ['org.openstack__1__created_by', 'scheduled_images__schedule', 'instance_uuid'].every((name) => other.properties[name] === properties[name]),
  )
  return newer.length < promise.retention ? `only ${newer.length} newer good images are there, and ${promise.retention} are to be kept` : undefined
}

/** The image whose data a Cinder snapshot is. */
export function imageOfSnapshot(id: string, cloud: OpenStackSimulator): string | undefined {
  return cloud.images().find(({ properties }) => properties['block_device_mapping']?.includes(id))?.id
}

/** Restorable: active, with bytes of its own, or with every Cinder snapshot of its mapping available. */
export function isGood({ status, size, properties }: ImageSeen, cloud: OpenStackSimulator): boolean {
  const mapping = properties['block_device_mapping']
  if (status !== 'active') return false
  if (mapping === undefined) return (size ?? 0) > 0
  const available = new Set(cloud.snapshots().flatMap((snapshot) => (snapshot.status === 'available' ? [snapshot.id] : [])))
  return (JSON.parse(mapping) as { snapshot_id: string }[]).every(({ snapshot_id }) => available.has(snapshot_id))
}

/** Glance keeps whole seconds; the product says that ties break by id. */
function isNewer(a: ImageSeen, b: ImageSeen): boolean {
  return a.createdAt.getTime() > b.createdAt.getTime() || (a.createdAt.getTime() === b.createdAt.getTime() && a.id > b.id)
}
