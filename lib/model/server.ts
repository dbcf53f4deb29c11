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
