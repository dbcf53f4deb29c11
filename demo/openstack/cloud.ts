import { Agenda } from './agenda.ts'
import type { Identifiers } from './identifier.ts'
import { Outages } from './outage.ts'

/** A Keystone project with the quotas that other services hold for it. */
export interface ProjectRecord {
  readonly id: string
  readonly name: string
  imageQuota: number
  snapshotQuota: number
  instanceQuota: number
  coreQuota: number
  ramQuota: number
  volumeQuota: number
  gigabyteQuota: number
}

/** What a user may do in a project. Whether `reader` may write is {@link CloudSettings.readersOnlyRead} (lab README §2). */
export type Role = 'admin' | 'member' | 'reader'

/** A Keystone user; `roles` by project id. */
export interface UserRecord {
  readonly id: string
  readonly name: string
  readonly password: string
  readonly roles: Map<string, Role>
  /** Public keys, by name. */
  readonly keys: Map<string, string>
}

/** An application credential: a user in one project, with a secret of its own. */
export interface CredentialRecord {
  readonly id: string
  readonly name: string
  readonly secret: string
  readonly userId: string
  readonly projectId: string
  readonly expiresAt?: number
}

/** Who asks: an unexpired token's user, and its project unless it is unscoped. */
export interface TokenRecord {
  readonly id: string
  readonly user: UserRecord
  readonly project?: ProjectRecord
  readonly role?: Role
  readonly method: 'password' | 'application_credential'
  readonly credentialId?: string
  readonly issuedAt: number
  readonly expiresAt: number
  readonly auditId: string
  /** When its application credential was deleted, if it was. */
  revokedAt?: number
}

/** Glance's states of an image, as far as they are met here. */
export type ImageStatus = 'queued' | 'saving' | 'active' | 'deactivated'

/** Who may see an image. */
export type Visibility = 'private' | 'shared' | 'public' | 'community'

/** The part of an image that an upload writes back as it was when the upload began (lab README §1). */
export interface ImageFace {
  name: string | null
  visibility: Visibility
  protected: boolean
  hidden: boolean
  minDisk: number
  minRam: number
  tags: string[]
  properties: Map<string, string>
}

/** A member of a shared image. */
export interface ImageMember {
  readonly projectId: string
  status: 'pending' | 'accepted' | 'rejected'
  readonly createdAt: number
  updatedAt: number
}

/** An image. Times are milliseconds of whole seconds. */
export interface ImageRecord extends ImageFace {
  readonly id: string
  readonly owner: string
  status: ImageStatus
  diskFormat: string | null
  containerFormat: string | null
  size: number | null
  data: string
  readonly createdAt: number
  updatedAt: number
  readonly members: Map<string, ImageMember>
}

/** A volume in a server's block device mapping. */
export interface Attachment {
  readonly volumeId: string
  readonly device: string
  /** 0 makes it the root disk, and the server volume-backed. */
  readonly bootIndex: number
  readonly deleteOnTermination: boolean
  readonly attachmentId: string
  readonly bdmId: string
}

/** A step of an action. */
export interface ActionEvent {
  readonly event: string
  readonly startedAt: number
  finishedAt: number | null
  result: string | null
}

/** One entry of os-instance-actions. */
export interface InstanceAction {
  readonly action: string
  readonly requestId: string
  readonly userId: string
  readonly startedAt: number
  updatedAt: number
  message: string | null
  readonly events: ActionEvent[]
}

/** A server. */
export interface ServerRecord {
  readonly id: string
  readonly name: string
  readonly projectId: string
  readonly userId: string
  readonly flavorId: string
  readonly keyName: string | null
  vmState: string
  taskState: string | null
  powerState: number
  metadata: Map<string, string>
  tags: string[]
  /** The hypervisor it is on; empty while it is on none. */
  host: string
  /** Empty when it was booted without one. A restored volume-backed server has one all the same (lab README §9). */
  imageRef: string
  /** What every later snapshot of it inherits: its image's properties and nova's own (lab README §1). */
  inherited: Map<string, string>
  minDisk: number
  attachments: Attachment[]
  locked: boolean
  shelvedImageId: string | null
  fault: { code: number; message: string; createdAt: number } | null
  readonly actions: InstanceAction[]
  readonly createdAt: number
  updatedAt: number
  launchedAt: number | null
}

/** A Cinder volume. */
export interface VolumeRecord {
  readonly id: string
  readonly name: string
  readonly projectId: string
  readonly userId: string
  readonly size: number
  status: string
  readonly snapshotId: string | null
  readonly type: string
  readonly metadata: Map<string, string>
  readonly imageMetadata: Map<string, string>
  readonly createdAt: number
  updatedAt: number
}

/** A Cinder snapshot. */
export interface SnapshotRecord {
  readonly id: string
  readonly name: string
  readonly projectId: string
  readonly userId: string
  readonly volumeId: string
  readonly size: number
  status: string
  readonly createdAt: number
  updatedAt: number | null
}

/** A flavor; `disk` 0 is for volume-backed servers only. */
export interface FlavorRecord {
  readonly id: string
  readonly ram: number
  readonly vcpus: number
  readonly disk: number
}

/** What the operator chose; see the options of `startOpenStack`. */
export interface CloudSettings {
  readonly tokenLifetimeSeconds: number
  readonly imagePageLimit: number
  readonly serverPageLimit: number
  readonly snapshotSeconds: { readonly saving: number; readonly active: number; readonly idle: number }
  /** The secure policy defaults (lab README §2). */
  readonly readersOnlyRead: boolean
  /** The minor number of `2.93`. */
  readonly maxMicroversion: number
}

/** A cloud that was at rest: what {@link Cloud} knows but for tokens, which everybody gets anew. */
export interface SavedCloud {
  /** When it was, in milliseconds. */
  readonly at: number
  readonly settings: CloudSettings
  /** The maps of {@link Cloud}, by their names. */
  readonly maps: Readonly<Record<string, ReadonlyMap<string, unknown>>>
}

/** Everything the cloud knows. Deleted things are gone from the maps, which keep the order of creation. */
export class Cloud {
  readonly agenda: Agenda
  readonly ids: Identifiers
  /** For what comes and goes with requests, so that asking once more does not change the next server's id. */
  readonly noise: Identifiers
  readonly settings: CloudSettings
  readonly outages = new Outages()
  readonly projects = new Map<string, ProjectRecord>()
  readonly users = new Map<string, UserRecord>()
  readonly credentials = new Map<string, CredentialRecord>()
  readonly tokens = new Map<string, TokenRecord>()
  readonly images = new Map<string, ImageRecord>()
  /** Counts images made and deleted, so that their order is worked out only when it can have changed. */
  imageChanges = 0
  readonly servers = new Map<string, ServerRecord>()
  readonly volumes = new Map<string, VolumeRecord>()
  readonly snapshots = new Map<string, SnapshotRecord>()
  readonly flavors = new Map<string, FlavorRecord>()
  /** `http://127.0.0.1:PORT`, known once the server listens. */
  url = ''

  constructor(clock: () => Date, ids: Identifiers, noise: Identifiers, settings: CloudSettings) {
    this.agenda = new Agenda(clock)
    this.ids = ids
    this.noise = noise
    this.settings = settings
  }

  /** Lets everything happen that is planned, and gives what there is then. */
  save(): SavedCloud {
    const at = this.agenda.finish()
    return { at, settings: this.settings, maps: Object.fromEntries(this.#maps()) }
  }

  /** Puts back what {@link save} gave. */
  restore({ maps }: SavedCloud): void {
    for (const [name, map] of this.#maps()) for (const [id, record] of maps[name] ?? []) map.set(id, record)
  }

  #maps(): [name: string, map: Map<string, unknown>][] {
    return Object.entries(this).filter(([name, value]) => value instanceof Map && name !== 'tokens')
  }

  get authUrl(): string {
    return `${this.url}/identity/v3`
  }

  /**
   * Whoever holds this token now, or nobody.
   *
   * @param cachedSeconds - For how long a deleted application credential goes unnoticed: nova keeps tokens that it
   *   has validated for five minutes, Glance does not (lab README §6).
   */
  caller(token: string | undefined, cachedSeconds = 0): TokenRecord | undefined {
    const found = this.tokens.get(token ?? '')
    if (found === undefined || found.expiresAt <= this.agenda.now) return undefined
    const revokedAt = found.revokedAt ?? Infinity
    return revokedAt + cachedSeconds * 1000 > this.agenda.now ? found : undefined
  }

  /** Whether this caller may change anything. */
  mayWrite({ role }: TokenRecord): boolean {
    return role !== 'reader' || !this.settings.readersOnlyRead
  }

  /** The present, as databases that keep whole seconds store it. */
  second(): number {
    return Math.floor(this.agenda.now / 1000) * 1000
  }
}

/** `2026-11-21T10:54:39Z` */
export function zulu(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}

/** `2026-11-21T10:54:39.000000`, as nova and Cinder write some of their times: no zone, but UTC. */
export function zoneless(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}.000000`
}

/** The volume that a server boots from, if any. */
export function rootAttachment(server: ServerRecord): Attachment | undefined {
  return server.attachments.find((attachment) => attachment.bootIndex === 0)
}
