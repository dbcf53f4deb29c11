import { ScheduledImagesError } from '../../lib/model/errors.ts'
import { createdBy, marks, type Image, type Volume, type VolumeSnapshot } from '../../lib/model/image.ts'
import type { Server } from '../../lib/model/server.ts'
import type { Cloud } from '../../lib/runner/ports.ts'
import { isIn, troubles, type Machine, type Trouble } from './estate.ts'

const minuteMs = 60_000
const gibibyte = 2 ** 30

/** What Nova or Cinder is still working on. */
interface Work {
  readonly doneAt: number
  /** Which it keeps busy. */
  readonly server: string | undefined
  readonly finish: () => void
}

/** An OpenStack project in memory, as far as the runners ask: images are made by the clock, and carry what Nova gives them. */
export class MemoryCloud implements Cloud {
  readonly project: string
  readonly maxInFlight = 1000
  readonly maxInFlightPerHost = 1000
  readonly images = new Map<string, Image>()
  readonly snapshots = new Map<string, VolumeSnapshot>()
  readonly #machines = new Map<string, Machine>()
  readonly #work = new Set<Work>()
  readonly #clock: () => Date
  readonly #newId: () => string

  /** @param newId - Makes UUIDs. */
  constructor(name: string, clock: () => Date, newId: () => string) {
    this.project = `project-of-${name}`
    this.#clock = clock
    this.#newId = newId
  }

  place(machine: Machine): void {
    this.#machines.set(machine.id, machine)
  }

  has(name: string): boolean {
    return this.#named(name) !== undefined
  }

  alter(name: string, change: Partial<Machine>): void {
    this.place({ ...this.#named(name)!, ...change })
  }

  remove(name: string): void {
    this.#machines.delete(this.#named(name)!.id)
  }

  #named(name: string): Machine | undefined {
    return [...this.#machines.values()].find((machine) => machine.name === name)
  }

  /** Finishes what is done by now. */
  pass(): void {
    const now = this.#clock().getTime()
    for (const work of this.#work) {
      if (work.doneAt > now) continue
      this.#work.delete(work)
      work.finish()
    }
  }

  readonly compute: Cloud['compute'] = {
    listServers: async () => {
      const busy = this.#busy()
      return [...this.#machines.values()].map((machine) => serverOf(machine, busy))
    },
    getServer: async (id) => {
      const machine = this.#machines.get(id)
      return machine && serverOf(machine, this.#busy())
    },
    createImage: async (id, name, metadata) => {
      const machine = this.#machines.get(id)
      if (!machine) throw new ScheduledImagesError('SERVER_NOT_FOUND', `Server ${id} does not exist.`)
      if (this.#busy().has(id)) throw new ScheduledImagesError('SERVER_BUSY', `Server "${machine.name}" is busy.`)
      const trouble = this.#troubleOf(machine)
      if (trouble === 'CONFLICT' || trouble === 'QUOTA_IMAGES' || trouble === 'ANSWER_LOST') throw new ScheduledImagesError(trouble, `Server "${machine.name}" has trouble.`)
      const image = this.#makeImage(machine, name, metadata, trouble === 'vanishes')
      if (trouble === 'answer lost on the way') throw new ScheduledImagesError('ANSWER_LOST', 'The answer was lost.')
      return { image, requestId: undefined }
    },
    stopServer: () => unasked('stopServer'),
    startServer: () => unasked('startServer'),
  }

  readonly image: Cloud['image'] = {
    listImages: async ({ owner, properties, hidden = false }) => {
      const wanted = Object.entries(properties)
      return [...this.images.values()].filter((image) => image.owner === owner && image.hidden === hidden && wanted.every(([name, value]) => image.properties[name] === value))
    },
    getImage: async (id) => this.images.get(id),
    addMarks: async ({ id }, properties, tags) => {
      const image = this.images.get(id)
      if (image) this.images.set(id, { ...image, properties: { ...image.properties, ...properties }, tags: [...image.tags, ...tags] })
    },
    setVisibility: () => unasked('setVisibility'),
    addMember: () => unasked('addMember'),
    removeMember: () => unasked('removeMember'),
    deleteImage: async (id) => {
      if (this.images.get(id)?.protected) throw new ScheduledImagesError('FORBIDDEN', `Image ${id} is protected.`)
      return this.images.delete(id)
    },
  }

  readonly blockStorage: Cloud['blockStorage'] = {
    listSnapshots: async () => new Map(this.snapshots),
    getVolume: (): Promise<Volume | undefined> => unasked('getVolume'),
    hasSnapshot: async (id) => this.snapshots.has(id),
    deleteSnapshot: async (id) => this.snapshots.delete(id),
  }

  #busy(): ReadonlySet<string | undefined> {
    return new Set([...this.#work].map(({ server }) => server))
  }

  #makeImage(machine: Machine, name: string, metadata: Record<string, string>, vanishes: boolean): string {
    const now = this.#clock()
    const id = this.#newId()
    const inherited = machine.restored ? { [marks.createdBy]: createdBy, [marks.seal]: this.#newId(), [marks.run]: 'of-another-server' } : {}
    const mapped = machine.volume ? { block_device_mapping: JSON.stringify([{ snapshot_id: this.#snapshot(machine, name), source_type: 'snapshot', boot_index: 0 }]) } : {}
    this.images.set(id, {
      id, name, owner: this.project, status: machine.volume ? 'active' : 'saving', size: machine.volume ? 0 : null,
      createdAt: new Date(Math.floor(now.getTime() / 1000) * 1000), protected: false, visibility: 'private', hidden: false, minDiskGiB: 0, minRamMiB: 0, tags: [],
      properties: { ...inherited, ...mapped, image_type: 'snapshot', base_image_ref: 'a-base-image', ...metadata },
    })
    const finish = () => {
      const image = this.images.get(id)
      if (vanishes) this.images.delete(id)
      else if (image && !machine.volume) this.images.set(id, { ...image, status: 'active', size: gibibyte })
    }
    this.#work.add({ doneAt: now.getTime() + machine.minutes * minuteMs, server: machine.volume ? undefined : machine.id, finish })
    return id
  }

  #snapshot({ id, minutes }: Machine, image: string): string {
    const snapshot = { id: this.#newId(), name: `snapshot for ${image}`, volume: volumeOf(id), status: 'creating', sizeGiB: 1 }
    this.snapshots.set(snapshot.id, snapshot)
    const finish = () => {
      if (this.snapshots.has(snapshot.id)) this.snapshots.set(snapshot.id, { ...snapshot, status: 'available' })
    }
    this.#work.add({ doneAt: this.#clock().getTime() + minutes * minuteMs, server: undefined, finish })
    return snapshot.id
  }

  #troubleOf({ name }: Machine): Trouble['what'] | undefined {
    return troubles.find((trouble) => trouble.server === name && isIn(trouble, this.#clock()))?.what
  }
}

function serverOf({ id, name, status, tags, metadata, volume }: Machine, busy: ReadonlySet<string | undefined>): Server {
  const taskState = busy.has(id) ? 'image_uploading' : null
  return { id, name, status, taskState, volumes: volume ? [volumeOf(id)] : [], tags, metadata, host: undefined, image: undefined }
}

function volumeOf(server: string): string {
  return `volume-of-${server}`
}

function unasked(what: string): never {
  throw new Error(`nothing of the estate asks for ${what}`)
}
