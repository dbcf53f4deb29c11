import * as z from 'zod'

/**
 * The properties and the tag that make an image ours (design: "Images: marks, names, ownership").
 * `createdBy`, `run`, `schedule`, `period` and `server` are given to createImage and so are inherited by every later
 * snapshot of a server restored from the image. Only `seal` and the tag prove anything: the seal names the image itself.
 */
export const marks = {
  createdBy: 'org.openstack__1__created_by',
  server: 'instance_uuid',
  schedule: 'scheduled_images__schedule',
  period: 'scheduled_images__period',
  run: 'scheduled_images__run',
  /** `live`, `quiesced` or `stopped`: how the disk was treated. */
  consistency: 'scheduled_images__consistency',
  seal: 'scheduled_images__image',
  /** The image's own id, and then the projects that the service has made members of it. */
  sharedWith: 'scheduled_images__shared_with',
} as const

/** The value of {@link marks.createdBy}, as Rackspace's service wrote it. Compared exactly, letter case included. */
export const createdBy = 'scheduled_images_service'

/** The tag of a sealed image. Nova does not hand tags on to later snapshots. */
export const sealTag = 'scheduled-images'

/** An image as Glance shows it. */
export interface Image {
  readonly id: string
  readonly name: string
  /** `queued` `saving` `active` `deactivated` `killed` `deleted` `pending_delete` `uploading` `importing`. */
  readonly status: string
  /** The id of the project that owns it. */
  readonly owner: string
  /** Whole seconds: several images of one server can share one. */
  readonly createdAt: Date
  /** When its data had come, or when it was last changed since; whole seconds. */
  readonly updatedAt?: Date | undefined
  readonly protected: boolean
  /** `private` `shared` `public` `community`; only a `shared` one takes members. */
  readonly visibility: string
  /** Left out of listings, unless they ask for hidden ones. */
  readonly hidden: boolean
  /** Bytes; null while there are none, 0 for a volume-backed server's image. */
  readonly size: number | null
  /** What a flavor has to offer at least, in GiB; 0 for anything. */
  readonly minDiskGiB: number
  /** The same of memory, in MiB. */
  readonly minRamMiB: number
  readonly tags: readonly string[]
  /** Everything else that Glance stores, by its exact name; values that are not strings are left out. */
  readonly properties: Readonly<Record<string, string>>
}

/**
 * The Cinder snapshots that an image needs to be restorable, read from its `block_device_mapping`.
 * `unreadable` means that the mapping exists and cannot be understood: nothing may be concluded from it.
 */
export type VolumeSnapshots =
  | { readonly kind: 'none' }
  | { readonly kind: 'snapshots'; readonly ids: readonly string[] }
  | { readonly kind: 'unreadable' }

/** A Cinder snapshot as Cinder lists it. */
export interface VolumeSnapshot {
  readonly id: string
  readonly name: string
  /** The id of the volume that it was made of. */
  readonly volume: string
  /** `available`, `creating`, `error`, … */
  readonly status: string
  /** Of its volume: what quotas count, whatever it takes up. */
  readonly sizeGiB: number
}

/** A Cinder volume, as far as a server's image can be read from it. */
export interface Volume {
  readonly id: string
  /** `in-use`, `available`, `error`, … */
  readonly status: string
  /** Whether it was made from an image, or from another volume that was. */
  readonly bootable: boolean
  /** What Cinder kept of that image: its properties, and `image_id`, `image_name`, `size` and the like. Empty without one. */
  readonly imageMetadata: Readonly<Record<string, string>>
}

/** A volume that booting from a volume-backed server's image makes. */
export interface ImageDevice {
  /** The id of the Cinder snapshot that it is made of. */
  readonly snapshot: string
  /** `/dev/sda` */
  readonly device: string | undefined
  /** 0 for the root disk, -1 for one that is not booted from. */
  readonly bootIndex: number
  readonly deleteOnTermination: boolean
}

/**
 * How long the data of an image took to come, in seconds; to be asked before an `active` image is changed. Undefined of a
 * volume-backed server's: it has no data, and its volume snapshots are Cinder's matter.
 */
export function makingSeconds(image: Image): number | undefined {
  if (image.updatedAt === undefined || image.properties[marks.seal] === image.id || volumeSnapshots(image).kind !== 'none') return undefined
  return (image.updatedAt.getTime() - image.createdAt.getTime()) / 1000
}

const uuid = z.guid()
const blockDeviceMapping = z.array(
  z.looseObject({
    snapshot_id: uuid.nullish(),
    source_type: z.string().nullish(),
    device_name: z.string().nullish().catch(undefined),
    boot_index: z.number().nullish().catch(undefined),
    delete_on_termination: z.boolean().nullish().catch(undefined),
  }),
)

/**
 * Reads which Cinder snapshots belong to an image.
 *
 * Nova writes the mapping as JSON text into a property. People can write there too, so only well-formed snapshot ids
 * are ever taken from it, and never a `volume_id`.
 */
export function volumeSnapshots(image: Image): VolumeSnapshots {
  const text = image.properties['block_device_mapping']
  if (!text) return { kind: 'none' }
  const devices = blockDeviceMapping.safeParse(json(text))
  if (!devices.success) return { kind: 'unreadable' }
  const ids: string[] = []
  for (const { snapshot_id, source_type } of devices.data) {
    if (snapshot_id) ids.push(snapshot_id)
    else if (source_type === 'snapshot' || source_type === 'volume') return { kind: 'unreadable' }
  }
  return ids.length === 0 ? { kind: 'none' } : { kind: 'snapshots', ids: [...new Set(ids)] }
}

/** The volumes that booting from an image makes; none for an ordinary image, and for one whose mapping cannot be read. */
export function imageDevices(image: Image): ImageDevice[] {
  const devices = blockDeviceMapping.safeParse(json(image.properties['block_device_mapping'] ?? ''))
  return (devices.data ?? []).flatMap(({ snapshot_id, device_name, boot_index, delete_on_termination }) =>
    snapshot_id
      ? [{ snapshot: snapshot_id, device: device_name ?? undefined, bootIndex: boot_index ?? -1, deleteOnTermination: delete_on_termination ?? false }]
      : [],
  )
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
