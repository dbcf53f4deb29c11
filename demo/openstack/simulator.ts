import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { blockStorage } from './block-storage.ts'
import type { CloudSettings, ImageStatus, ProjectRecord, Role, SavedCloud, TokenRecord, Visibility } from './cloud.ts'
import { Cloud } from './cloud.ts'
import { compute } from './compute.ts'
import type { FaultRule, RecordedRequest } from './fault.ts'
import { Faults } from './fault.ts'
import { identifiers } from './identifier.ts'
import { identity } from './identity.ts'
import { image } from './image.ts'
import { newImage, removeImage } from './image-record.ts'
import type { ImageSeen, ServerSeen, SnapshotSeen, VolumeSeen } from './inspection.ts'
import { seenImage, seenServer, seenSnapshot, seenVolume } from './inspection.ts'
import type { Daemon } from './outage.ts'
import { DEFAULT_QUOTAS, type Quota } from './quota.ts'
import { recordAction } from './server-action.ts'
import { DEFAULT_HOST, attach, marks, newServer, withBooter } from './server-boot.ts'
import { powerOf, vmStateOf } from './server-view.ts'
import type { RequestLog } from './wire.ts'
import { listener } from './wire.ts'

export type { SavedCloud } from './cloud.ts'
export type { FaultAnswer, FaultEffect, FaultRule, RecordedRequest, ServiceName } from './fault.ts'
export type { Daemon } from './outage.ts'
export type { ImageSeen, ServerSeen, SnapshotSeen, VolumeSeen } from './inspection.ts'

/** How the simulated cloud is set up. */
export interface OpenStackSimulatorOptions {
  /**
   * The cloud's clock; default the system's. Everything that takes time is worked out from it at each request: there
   * are no timers, so a simulated clock moves images on by itself.
   */
  readonly clock?: () => Date
  /** The same seed gives the same ids; without one they are random. */
  readonly seed?: number
  /** Default 3600. */
  readonly tokenLifetimeSeconds?: number
  /** Glance's `api_limit_max`, default 1000. A page without `limit` has 25 whatever this says. */
  readonly imagePageLimit?: number
  /** Nova's `max_limit`, default 1000. */
  readonly serverPageLimit?: number
  /** Seconds from createImage to each state; default 1, 2, 2.1. */
  readonly snapshotSeconds?: { readonly saving: number; readonly active: number; readonly idle: number }
  /** Default `2.93`. Higher requests get a 406; below `2.45` a new image's id is in `Location` only. */
  readonly maxMicroversion?: string
  /** Whether role `reader` may only read, as by default from OpenStack 2023.1 on; default false, as in Zed. */
  readonly readersOnlyRead?: boolean
  /** A cloud that {@link OpenStackSimulator.save} gave. It goes on where it was, with the settings that it had. */
  readonly saved?: SavedCloud
  /** Serve https with this certificate. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** Told of each request before anything is done about it. */
  readonly onRequest?: (request: RecordedRequest) => void
}

/** What a project may have of everything that is counted. */
export type Quotas = Partial<Record<'imageQuota' | 'snapshotQuota' | Quota, number>>

/** A project. Quotas are unlimited, or ample, unless given. */
export interface Project {
  readonly id: string
  readonly name: string
}

/** A user of domain `Default`. */
export interface User {
  readonly id: string
  readonly name: string
}

/** An application credential, with the secret in the clear. */
export interface ApplicationCredential {
  readonly id: string
  readonly name: string
  readonly secret: string
}

/** An image to begin with. Without `status` it is `active`. */
export interface ImageSeed {
  readonly id?: string
  readonly name: string
  readonly status?: ImageStatus
  /** Default `private`. */
  readonly visibility?: Visibility
  readonly tags?: readonly string[]
  readonly properties?: Readonly<Record<string, string>>
  readonly protected?: boolean
  readonly hidden?: boolean
  /** Default now; whole seconds are kept. */
  readonly createdAt?: Date
  readonly size?: number
  readonly minDisk?: number
}

/** A server to begin with. Without `status` it is `ACTIVE`. */
export interface ServerSeed {
  readonly name: string
  /** An image's id; default the base image. */
  readonly image?: string
  /** Boots from a volume made of the image. */
  readonly volumeBacked?: boolean
  /** How many more volumes are attached. */
  readonly dataVolumes?: number
  readonly status?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly tags?: readonly string[]
  /** The hypervisor it is on; by default all are on one. */
  readonly host?: string
}

/** A cloud on the loopback, and the hands of its operator. */
export interface OpenStackSimulator {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** What goes into `auth_url`. */
  readonly authUrl: string
  /** A public image of the operator's, which everybody may boot from: `cirros-lab`, tag `golden`. */
  readonly baseImageId: string
  /** Every request so far, oldest first. */
  readonly requests: readonly RecordedRequest[]
  addProject(name: string, quotas?: Quotas): Project
  /** @param roles - By project id or name. */
  addUser(name: string, password: string, roles: Readonly<Record<string, Role>>): User
  addApplicationCredential(
    user: User,
    project: Project,
    credential: { readonly secret: string; readonly name?: string; readonly expiresAt?: Date },
  ): ApplicationCredential
  addImage(project: Project, seed: ImageSeed): ImageSeen
  addServer(project: Project, seed: ServerSeed): ServerSeen
  /** Changes the quotas that are given; what is over them stays. */
  setQuotas(project: Project, quotas: Quotas): void
  /** What there is now, oldest first. Deleted things are absent. */
  images(): ImageSeen[]
  servers(): ServerSeen[]
  snapshots(): SnapshotSeen[]
  volumes(): VolumeSeen[]
  /** `metadata` and `tags` replace what there was. */
  setServer(
    id: string,
    change: {
      readonly status?: string
      readonly taskState?: string | null
      readonly metadata?: Readonly<Record<string, string>>
      readonly tags?: readonly string[]
    },
  ): void
  /** A Cinder snapshot's status: `error`, or `creating` for ever. */
  setSnapshot(id: string, change: { readonly status: string }): void
  /** `metadata` replaces what there was; `lab_fail` and `lab_delay` are read from it. */
  setVolume(
    id: string,
    change: { readonly status?: string; readonly metadata?: Readonly<Record<string, string>> },
  ): void
  /** Somebody else deletes an image, server, Cinder snapshot or volume, without ceremony. */
  remove(id: string): void
  /** Makes something go wrong; call the result to make it stop. */
  fault(rule: FaultRule): () => void
  /** Every password, secret and token that it knows: none of them may turn up where people read. */
  secrets(): string[]
  /** Stops a daemon; call the result to start it again. */
  stop(daemon: Daemon): () => void
  /** Lets everything happen that is planned, and gives all that there is then; what is down or goes wrong is not in it. */
  save(): SavedCloud
  close(): Promise<void>
}

/** Starts a cloud with nothing in it but two flavors (`lab.tiny`, `lab.nodisk`) and the base image. */
export async function startOpenStack(options: OpenStackSimulatorOptions = {}): Promise<OpenStackSimulator> {
  const { clock = () => new Date(), seed, saved, tls, onRequest } = options
  const noise = identifiers(seed === undefined ? undefined : seed + 1)
  const cloud = new Cloud(clock, identifiers(seed), noise, saved?.settings ?? settings(options))
  const faults = new Faults()
  const requests: RequestLog = []
  const services = {
    identity: identity(cloud),
    compute: compute(cloud),
    image: image(cloud),
    'block-storage': blockStorage(cloud),
  }
  const listen = listener(cloud, services, faults, requests, onRequest)
  const server = tls === undefined ? createServer(listen) : createTlsServer({ key: tls.key, cert: tls.cert }, listen)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  cloud.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`

  const baseImageId = saved === undefined ? furnish() : restore(saved)

  function furnish(): string {
    cloud.flavors.set('lab.nodisk', { id: 'lab.nodisk', ram: 64, vcpus: 1, disk: 0 })
    cloud.flavors.set('lab.tiny', { id: 'lab.tiny', ram: 64, vcpus: 1, disk: 1 })
    const operator = addProject('admin')
    return addImage(operator, {
      name: 'cirros-lab',
      visibility: 'public',
      tags: ['golden'],
      properties: { os_distro: 'cirros', hw_disk_bus: 'virtio', lab_vendor: 'Base Image Inc' },
      size: 65_536,
      minDisk: 1,
    }).id
  }

  function restore(all: SavedCloud): string {
    cloud.restore(all)
    return [...cloud.images.values()].find(({ name }) => name === 'cirros-lab')?.id ?? ''
  }

  function addProject(name: string, quotas: Quotas = {}): Project {
    const project: ProjectRecord = { id: cloud.ids.hex(), name, imageQuota: Infinity, snapshotQuota: Infinity, ...DEFAULT_QUOTAS, ...quotas }
    cloud.projects.set(project.id, project)
    return { id: project.id, name }
  }

  function addUser(name: string, password: string, roles: Readonly<Record<string, Role>>): User {
    const byProject = Object.entries(roles).map(([given, role]) => {
      const found = [...cloud.projects.values()].find((project) => project.id === given || project.name === given)
      if (found === undefined) throw new TypeError(`no project ${given}`)
      return [found.id, role] as const
    })
    const id = cloud.ids.hex()
    cloud.users.set(id, { id, name, password, roles: new Map(byProject), keys: new Map() })
    return { id, name }
  }

  function addImage(project: Project, seed: ImageSeed): ImageSeen {
    cloud.agenda.catchUp()
    const at = seed.createdAt?.getTime()
    const status = seed.status ?? 'active'
    const made = newImage(
      cloud,
      project.id,
      {
        name: seed.name,
        visibility: seed.visibility ?? 'private',
        protected: seed.protected ?? false,
        hidden: seed.hidden ?? false,
        tags: [...(seed.tags ?? [])],
        properties: new Map(Object.entries(seed.properties ?? {})),
        minDisk: seed.minDisk ?? 0,
      },
      {
        ...(seed.id !== undefined && { id: seed.id }),
        status,
        diskFormat: 'raw',
        containerFormat: 'bare',
        size: status === 'active' || status === 'deactivated' ? (seed.size ?? 16_384) : null,
        ...(at !== undefined && { createdAt: Math.floor(at / 1000) * 1000 }),
      },
    )
    return seenImage(made)
  }

  function addServer(project: Project, seed: ServerSeed): ServerSeen {
    cloud.agenda.catchUp()
    const base = cloud.images.get(seed.image ?? baseImageId)
    if (base === undefined) throw new TypeError(`no image ${seed.image}`)
    const user = [...cloud.users.values()].find(({ roles }) => roles.has(project.id))
    const owner = cloud.projects.get(project.id)
    const inherited = marks(base)
    if (!inherited.has('base_image_ref')) inherited.set('base_image_ref', seed.volumeBacked ? '' : base.id)
    const nobody = { id: '0'.repeat(32), name: 'operator', password: '', roles: new Map(), keys: new Map() }
    const booter: TokenRecord = {
      id: '',
      auditId: '',
      method: 'password',
      issuedAt: 0,
      expiresAt: 0,
      user: user ?? nobody,
      ...(owner && { project: owner }),
    }
    withBooter(inherited, booter)
    const made = newServer(cloud, {
      name: seed.name,
      projectId: project.id,
      userId: (user ?? nobody).id,
      flavorId: seed.volumeBacked ? 'lab.nodisk' : 'lab.tiny',
      keyName: null,
      metadata: new Map(Object.entries(seed.metadata ?? {})),
      imageRef: seed.volumeBacked ? '' : base.id,
      inherited,
      minDisk: Math.max(1, base.minDisk),
    })
    const disk = { deleteOnTermination: true, local: false }
    if (seed.volumeBacked) attach(cloud, made, { ...disk, bootIndex: 0, size: 1, image: base })
    for (let count = 0; count < (seed.dataVolumes ?? 0); count += 1) {
      attach(cloud, made, { ...disk, bootIndex: -1, size: 2 })
    }
    made.vmState = vmStateOf(seed.status ?? 'ACTIVE')
    made.powerState = powerOf(made.vmState)
    made.launchedAt = cloud.second()
    made.host = seed.host ?? DEFAULT_HOST
    made.tags = [...(seed.tags ?? [])]
    recordAction(cloud, made, booter, 'create', `req-${cloud.noise.uuid()}`)
    return seenServer(made)
  }

  return {
    url: cloud.url,
    authUrl: cloud.authUrl,
    baseImageId,
    requests,
    addProject,
    addUser,
    addApplicationCredential(user, project, { secret, name = 'simulated', expiresAt }) {
      const made = { id: cloud.ids.hex(), name, secret }
      const expiry = expiresAt && { expiresAt: Math.floor(expiresAt.getTime() / 1000) * 1000 }
      cloud.credentials.set(made.id, { ...made, userId: user.id, projectId: project.id, ...expiry })
      return made
    },
    addImage,
    addServer,
    setQuotas: ({ id }, quotas) => {
      Object.assign(existing(cloud.projects, id), quotas)
    },
    images: () => looked(() => [...cloud.images.values()].map(seenImage)),
    servers: () => looked(() => [...cloud.servers.values()].map(seenServer)),
    snapshots: () => looked(() => [...cloud.snapshots.values()].map(seenSnapshot)),
    volumes: () => looked(() => [...cloud.volumes.values()].map(seenVolume)),
    setServer(id, { status, taskState, metadata, tags }) {
      const found = existing(cloud.servers, id)
      if (status !== undefined) {
        found.vmState = vmStateOf(status)
        found.powerState = powerOf(found.vmState)
      }
      if (taskState !== undefined) found.taskState = taskState
      if (metadata !== undefined) found.metadata = new Map(Object.entries(metadata))
      if (tags !== undefined) found.tags = [...tags]
    },
    setSnapshot(id, { status }) {
      existing(cloud.snapshots, id).status = status
    },
    setVolume(id, { status, metadata }) {
      const found = existing(cloud.volumes, id)
      if (status !== undefined) found.status = status
      if (metadata !== undefined) {
        found.metadata.clear()
        for (const [key, value] of Object.entries(metadata)) found.metadata.set(key, value)
      }
    },
    remove(id) {
      cloud.agenda.catchUp()
      const found = cloud.images.get(id)
      if (found !== undefined) removeImage(cloud, found)
      cloud.servers.delete(id)
      cloud.snapshots.delete(id)
      cloud.volumes.delete(id)
    },
    fault: (rule) => faults.add(rule),
    secrets: () => [
      ...[...cloud.users.values()].map(({ password }) => password),
      ...[...cloud.credentials.values()].map(({ secret }) => secret),
      ...cloud.tokens.keys(),
    ],
    stop(daemon) {
      const start = looked(() => cloud.outages.stop(daemon))
      return () => looked(start)
    },
    save: () => cloud.save(),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }

  function looked<Seen>(look: () => Seen): Seen {
    cloud.agenda.catchUp()
    return look()
  }

  function existing<Found>(known: ReadonlyMap<string, Found>, id: string): Found {
    cloud.agenda.catchUp()
    const found = known.get(id)
    if (found === undefined) throw new TypeError(`nothing with id ${id}`)
    return found
  }
}

function settings(options: OpenStackSimulatorOptions): CloudSettings {
  const { tokenLifetimeSeconds = 3600, imagePageLimit = 1000, serverPageLimit = 1000, readersOnlyRead = false } = options
  const { snapshotSeconds = { saving: 1, active: 2, idle: 2.1 }, maxMicroversion = '2.93' } = options
  const minor = Number(maxMicroversion.replace(/^2\./, ''))
  if (!Number.isInteger(minor)) throw new TypeError(`no microversion of compute: ${maxMicroversion}`)
  return { tokenLifetimeSeconds, imagePageLimit, serverPageLimit, snapshotSeconds, maxMicroversion: minor, readersOnlyRead }
}
