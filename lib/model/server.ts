/** A server as Nova lists it: what planning needs of it, and no more. */
export interface Server {
  /** UUID. */
  readonly id: string
  /** Not unique in a project, and free text: it may hold emoji, tabs or 255 characters. */
  readonly name: string
  /** `ACTIVE`, `SHUTOFF`, `ERROR`, … in capitals. */
  readonly status: string
  /** What Nova is doing to it at this moment, `image_uploading` for one; null when it is idle. */
  readonly taskState: string | null
  /** The ids of the attached Cinder volumes, the root volume's among them. */
  readonly volumes: readonly string[]
  /** undefined on a cloud that shows none: one before OpenStack Newton. To Nova, tags that differ in letter case or accents alone are the same tag. */
  readonly tags: readonly string[] | undefined
  readonly metadata: Readonly<Record<string, string>>
  /** What Nova calls the hypervisor that the server is on: the same for two servers of a project on one host. undefined while it is on none. */
  readonly host: string | undefined
  /** The id of the image that it was booted from or rebuilt to, which may be gone since. undefined for most servers that boot from a volume. */
  readonly image: string | undefined
}

/** A server as it is looked at by itself. */
export interface ServerDetails extends Server {
  /** The id of its flavor, which may be gone since. */
  readonly flavor: string | undefined
  readonly locked: boolean
  /** The paths of the attached volumes, `/dev/sda`, by the volumes' ids; those that Nova does not tell are left out. */
  readonly devices: Readonly<Record<string, string>>
  /** What went wrong, of one that is in `ERROR`. */
  readonly fault: string | undefined
}

/** A server to be made of an image. */
export interface NewServer {
  readonly name: string
  readonly image: string
  /** Of a flavor, the id. */
  readonly flavor: string
  /** The ids of networks; `auto` and `none` as Nova understands them; undefined lets Nova choose the only one there is. */
  readonly networks: 'auto' | 'none' | readonly string[] | undefined
  readonly keyName: string | undefined
  readonly availabilityZone: string | undefined
  /** Names or ids; none gives it the project's default. */
  readonly securityGroups: readonly string[]
  /** The volumes of the image in another way than the image has them; empty leaves them as they are. */
  readonly volumes: readonly NewVolume[]
}

/** A volume to be made of a volume snapshot. */
export interface NewVolume {
  readonly snapshot: string
  /** `/dev/sda`, by which Nova finds the volume of the image that this one stands for. */
  readonly device: string
  readonly bootIndex: number
  readonly deleteOnTermination: boolean
  /** A name or an id. */
  readonly type: string
}
