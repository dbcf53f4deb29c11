import type { BootOptions, CloudUnderTest, Json } from '../contract/harness.ts'
import { createdBy, marks } from '../../lib/model/image.ts'

/** A server that has a schedule. */
export interface Scheduled {
  readonly id: string
  /** Also the name of its schedule. */
  readonly label: string
  /** Ids of its Cinder volumes. */
  readonly volumes: readonly string[]
}

/** What OpenStack has of ours at one moment. */
export interface Holdings {
  /** Every image of the project that carries our mark, inherited or not. */
  readonly images: readonly Json[]
  /** The Cinder snapshots of the volumes of all servers that were made here. */
  readonly snapshots: readonly Json[]
}

/** The servers of a storm, and the images that people made of them. */
export class Estate {
  readonly #cloud: CloudUnderTest
  readonly servers: Scheduled[] = []
  /** People's images as they were when they were made. */
  readonly people: Json[] = []
  readonly #peoplesVolumes: string[] = []

  constructor(cloud: CloudUnderTest) {
    this.#cloud = cloud
  }

  /** Boots a server of each kind that OpenStack treats differently. */
  async build(): Promise<void> {
    const slow = this.#cloud.knobs ? { lab_upload: '2' } : {}
    const kinds: readonly (BootOptions & { readonly label: string })[] = [
      { label: 'plain' },
      { label: 'slow', metadata: slow },
      { label: 'off' },
      { label: 'volume', volumeBacked: true },
      { label: 'volumes', volumeBacked: true, dataVolumes: 1 },
    ]
    this.servers.push(...(await Promise.all(kinds.map((kind) => this.#boot(kind)))))
    const off = this.servers.find(({ label }) => label === 'off')!
    await (await this.#cloud.api()).action(off.id, { 'os-stop': null })
    await this.#cloud.untilServer(off.id, 'SHUTOFF')
  }

  async #boot(options: BootOptions & { readonly label: string }): Promise<Scheduled> {
    const id = await this.#cloud.boot(options)
    return { id, label: options.label, volumes: await this.#volumesOf(id) }
  }

  /**
   * Restores a server from one of our images, and snapshots it as a person would: Nova hands our marks on to that image, which
   * is theirs all the same.
   */
  async restoreAndSnapshot(image: string, label: string): Promise<void> {
    const server = await this.#cloud.boot({ image, label: `restored-${label}` })
    this.#peoplesVolumes.push(...(await this.#volumesOf(server)))
    const made = await this.#cloud.finished(await this.#cloud.snapshot(server, `by-hand-${label}`), server)
    if (made[marks.createdBy] !== createdBy) throw new Error(`the image ${made['id']} has not inherited our marks: ${JSON.stringify(made)}`)
    this.people.push(made)
  }

  async #volumesOf(server: string): Promise<string[]> {
    const seen = await this.#cloud.server(server)
    return (seen['os-extended-volumes:volumes_attached'] as Json[]).map(({ id }) => id as string)
  }

  /** @throws Error when a service does not answer. */
  async holdings(): Promise<Holdings> {
    const api = await this.#cloud.api()
    const list = async (service: 'image' | 'block-storage', path: string, key: string): Promise<Json[]> => {
      const reply = await api.request(service, 'GET', path)
      const all = reply.json[key] as Json[] | undefined
      if (reply.status !== 200 || all === undefined) throw new Error(`${path}: ${reply.status} ${reply.text}`)
      if (reply.json['next'] !== undefined || reply.json['snapshots_links'] !== undefined) throw new Error(`${path} has more than one page`)
      return all
    }
    const [images, snapshots] = await Promise.all([
      list('image', `/v2/images?limit=1000&owner=${api.projectId}&${marks.createdBy}=${createdBy}`, 'images'),
      list('block-storage', '/snapshots/detail?limit=1000', 'snapshots'),
    ])
    const volumes = new Set([...this.servers.flatMap((server) => server.volumes), ...this.#peoplesVolumes])
    return { images: images.filter((image) => this.#isOurs(image)), snapshots: snapshots.filter(({ volume_id }) => volumes.has(volume_id)) }
  }

  /** Other tests may use the project at another time, and leave images with the mark. */
  #isOurs(image: Json): boolean {
    return this.servers.some(({ id, label }) => image[marks.server] === id || image[marks.schedule] === `daily/${label}`)
  }

  /** What OpenStack is still doing, as a sentence; undefined once it is idle. */
  async business(): Promise<Business | undefined> {
    const servers = await Promise.all(this.servers.map(async ({ id, label }) => ({ label, task: (await this.#cloud.server(id))['OS-EXT-STS:task_state'] as string | null })))
    const { snapshots } = await this.holdings()
    const busy = servers.filter(({ task }) => task !== null)
    const moving = snapshots.filter(({ status }) => ['creating', 'deleting'].includes(status))
    if (busy.length === 0 && moving.length === 0) return undefined
    return {
      servers: busy.length > 0,
      snapshots: moving.map(({ id }) => id as string),
      sentence: [...busy.map(({ label, task }) => `${label} is in ${task}`), ...moving.map(({ id, status }) => `volume snapshot ${id} is ${status}`)].join(', '),
    }
  }
}

export interface Business {
  /** A server has a task. */
  readonly servers: boolean
  /** Ids of Cinder snapshots that are being made or deleted. */
  readonly snapshots: readonly string[]
  readonly sentence: string
}
