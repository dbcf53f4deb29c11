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
}
