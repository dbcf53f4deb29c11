import { createdBy, marks, volumeSnapshots, type Image, type VolumeSnapshot } from '../model/image.ts'
import type { Run, Sweep } from '../model/run.ts'

/** An image that is provably ours, with whose it is. */
export interface ScheduledImage {
  readonly image: Image
  /** UUID of the server. */
  readonly server: string
  /** `<cadence>/<schedule>`. */
  readonly schedule: string
}

/**
 * The ownership law: an image is ours iff it belongs to our project, `org.openstack__1__created_by` matches exactly, and
 * it is sealed with its own id.
 *
 * Nova copies the properties of the image that a server was booted or rebuilt from into every later snapshot of it, a
 * person's and shelve's included, so no other property proves anything (lab finding, "Marks are inherited"). A person
 * keeps an image for ever by removing `org.openstack__1__created_by`.
 *
 * @param project - The id of the project that the token is for: an administrator's listing holds everybody's images.
 */
export function scheduledImage(image: Image, project: string): ScheduledImage | undefined {
  const { properties } = image
  const server = properties[marks.server]
  const schedule = properties[marks.schedule]
  if (image.owner !== project || properties[marks.createdBy] !== createdBy || properties[marks.seal] !== image.id) return undefined
  if (!server || !schedule) return undefined
  return { image, server, schedule }
}

/**
 * Whether an image is the one that a run asked for: what a run in flight goes by, since its image is not sealed yet.
 * The run id was made for this one claim; an inherited one belongs to another server or to an earlier run.
 */
export function isImageOf(run: Pick<Run, 'server' | 'runId' | 'image'>, image: Image, project: string): boolean {
  const { properties } = image
  return (
    image.owner === project &&
    properties[marks.createdBy] === createdBy &&
    properties[marks.run] === run.runId &&
    properties[marks.server] === run.server &&
    (run.image === undefined || run.image === image.id)
  )
}

/** How many images name each Cinder snapshot. */
export type SnapshotReferences = ReadonlyMap<string, number>

/** @param images - An image that is among them twice counts once. */
export function countReferences(images: Iterable<Image>): SnapshotReferences {
  const references = new Map<string, number>()
  for (const image of new Map([...images].map((one) => [one.id, one])).values()) {
    for (const id of snapshotsOf(image)) references.set(id, (references.get(id) ?? 0) + 1)
  }
  return references
}

/** The Cinder snapshots that go with an image: one that a second image of the listing names, by whatever hand, is not its own and stays. */
export function ownSnapshots(image: Image, references: SnapshotReferences): string[] {
  return snapshotsOf(image).filter((id) => (references.get(id) ?? 0) <= 1)
}

/**
 * The Cinder snapshots that a failed attempt left behind: Nova names them after the image that was to be, and they carry no
 * other mark (lab finding: Nova takes none back when Glance refuses the image).
 *
 * A name without the second of the attempt, as a template without `{time}` makes it, could be another attempt's as well:
 * then none is.
 *
 * @param images - Every image of the project, marked or not, listed after `snapshots`: one that any of them names stays.
 */
export function strandedSnapshots({ imageName, volumes, startedAt }: Sweep, snapshots: Iterable<VolumeSnapshot>, images: readonly Image[]): VolumeSnapshot[] {
  if (!imageName.includes(String(Math.floor(startedAt.getTime() / 1000)))) return []
  // As text: a mapping that cannot be read still names what it names.
  const isNamed = (id: string) => images.some(({ properties }) => properties['block_device_mapping']?.includes(id))
  return [...snapshots].filter(({ id, name, volume }) => name === `snapshot for ${imageName}` && volumes.includes(volume) && !isNamed(id))
}

function snapshotsOf(image: Image): readonly string[] {
  const mapping = volumeSnapshots(image)
  return mapping.kind === 'snapshots' ? mapping.ids : []
}
