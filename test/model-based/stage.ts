import { setImmediate } from 'node:timers/promises'
import type { FaultRule, ImageSeen, ServerSeen } from '../../demo/openstack/simulator.ts'
import { startWorld, type World } from '../../demo/world.ts'
import { serviceIn, type TestService } from '../support/service.ts'
import { isLive, Oracle, type Item } from './oracle.ts'
import { personIn, type Person } from './person.ts'

/** How the timers fire. */
export interface Firing {
  readonly functions: readonly ('daily' | 'weekly' | 'prune')[]
  /** `twice`: each is delivered again; `at once`: two invocations of each overlap. */
  readonly manner: 'in turn' | 'twice' | 'at once'
  /** How much later than its scheduled time it is delivered. */
  readonly lateMinutes: number
  /** After how many requests hardly any time is left of an invocation. */
  readonly requests: number
}

export const regular: Firing = { functions: ['daily', 'weekly', 'prune'], manner: 'in turn', lateMinutes: 0, requests: Infinity }

const quarterMs = 15 * 60_000
/** The times of a day in UTC at which something can be due, and some at which nothing is. */
const firings = ['00:00', '00:45', '01:15', '01:45', '02:30', '03:15', '05:00', '06:00', '06:45', '07:30', '08:30', '12:00', '23:15', '23:30']

/** The world in which one history plays, with everybody in it. */
export class Stage {
  readonly world: World
  readonly oracle: Oracle
  readonly person: Person
  /** Ids of projects that images can be shared with. */
  readonly partners: readonly string[]
  /** What has happened, as lines that can be read. */
  readonly story: string[] = []
  readonly #services: readonly [TestService, TestService]
  #faults: { readonly rule: FaultRule; lift: () => void }[] = []

  private constructor(world: World, oracle: Oracle) {
    this.world = world
    this.oracle = oracle
    this.person = personIn(world)
    this.partners = ['beta', 'gamma'].map((name) => world.openstack.addProject(name).id)
    const sleep = async (ms: number): Promise<void> => {
      const end = world.clock().getTime() + ms
      await setImmediate()
      if (world.clock().getTime() < end) world.setClock(new Date(end))
    }
    this.#services = [serviceIn(world, {}, { sleep }), serviceIn(world, {}, { sleep })]
  }

  static async open(now: string, seed: number): Promise<Stage> {
    const heard: { oracle?: Oracle } = {}
    const world = await startWorld({ now, seed, onRequest: (request) => heard.oracle?.hear(request) })
    heard.oracle = new Oracle(world.project.id, () => world.openstack)
    return new Stage(world, heard.oracle)
  }

  get now(): Date {
    return this.world.clock()
  }

  get lines(): TestService['lines'] {
    return this.#services.flatMap(({ lines }) => lines)
  }

  tell(line: string): void {
    this.story.push(`${this.now.toISOString().slice(5, 16).replace('T', ' ')}  ${line}`)
  }

  /** The project's servers that a person can still see, oldest first. */
  servers(): ServerSeen[] {
    return this.world.openstack.servers().filter(({ projectId, status }) => projectId === this.world.project.id && status !== 'DELETED')
  }

  /** The project's images, oldest first. */
  images(): ImageSeen[] {
    return this.world.openstack.images().filter(({ owner }) => owner === this.world.project.id)
  }

  /** Images that the service had made and that are there, oldest first. */
  ours(): ImageSeen[] {
    return this.images().filter(({ id }) => this.oracle.made.has(id))
  }

  pass(minutes: number): void {
    this.world.setClock(new Date(this.now.getTime() + minutes * 60_000))
  }

  /** Has the timers fire at the next quarter of an hour. */
  async tickNext(firing: Firing): Promise<void> {
    await this.tick(new Date((Math.floor(this.now.getTime() / quarterMs) + 1) * quarterMs), firing)
  }

  /** Lets time pass with the timers as they are, on a day that is thinned out to what matters. */
  async tickUntil(end: Date): Promise<void> {
    for (let midnight = Date.parse(this.now.toISOString().slice(0, 10)); midnight <= end.getTime(); midnight += 24 * 60 * 60_000) {
      for (const time of firings) {
        const at = new Date(`${new Date(midnight).toISOString().slice(0, 10)}T${time}:00Z`)
        if (at > this.now && at <= end) await this.tick(at, regular)
      }
    }
  }

  async tick(at: Date, { functions, manner, lateMinutes, requests }: Firing): Promise<void> {
    this.world.setClock(new Date(at.getTime() + lateMinutes * 60_000))
    this.oracle.beginTick(at)
    const before = this.world.openstack.requests.length
    const timeLeftMs = () => (this.world.openstack.requests.length - before < requests ? 300_000 : 20_000)
    const run = async (service: TestService, name: Firing['functions'][number]) => {
      const { faults } = await (name === 'prune' ? service.prune({ now: at, timeLeftMs }) : service.snapshot(name, { now: at, timeLeftMs }))
      await service.flush()
      if (faults > 0) throw new Error(`LAW BROKEN: no fault of the service's own: ${JSON.stringify(service.lines.filter(({ level }) => level === 'error').slice(-3))}`)
    }
    const [one, another] = this.#services
    this.oracle.author = 'service'
    try {
      if (manner === 'at once') await Promise.all(functions.flatMap((name) => [run(one, name), run(another, name)]))
      else for (const name of functions) for (const service of manner === 'twice' ? [one, one] : [one]) await run(service, name)
    } finally {
      this.oracle.author = 'person'
      this.oracle.stale = undefined
    }
    this.oracle.conclude()
  }

  /** A person's requests are spared the faults: what matters is what they did. */
  async asPerson<Result>(act: (person: Person) => Promise<Result>): Promise<Result> {
    const faults = this.#faults.map(({ rule }) => rule)
    this.repair()
    try {
      return await act(this.person)
    } finally {
      for (const rule of faults) this.break(rule)
    }
  }

  /** Makes the cloud fail from now on. */
  break(rule: FaultRule): void {
    this.oracle.faulty = true
    this.#faults.push({ rule, lift: this.world.openstack.fault(rule) })
  }

  repair(): void {
    for (const { lift } of this.#faults) lift()
    this.#faults = []
    this.oracle.faulty = false
  }

  /** Writes an item as a person would, or takes it out of the table. */
  async put(key: string, item: Item | undefined): Promise<void> {
    const [cadence, schedule] = key.split('/') as [Item['cadence'], string]
    if (item === undefined) {
      this.oracle.items.delete(key)
      await this.world.deleteSchedule(cadence, schedule)
      return
    }
    const isNew = !this.oracle.items.has(key)
    this.oracle.items.set(key, item)
    const { name: _name, server, broken = false, adopts = [], ...rest } = item
    const attributes = { ...rest, server: 'id' in server ? server.id : server.name, adopts, retention: broken ? 'many' : item.retention }
    if (isNew) await this.world.putSchedule({ ...attributes, schedule })
    else {
      const { cadence: _cadence, ...changed } = attributes
      await this.world.editSchedule(cadence, schedule, changed)
    }
  }

  /** What a server's snapshot would fail for by itself, or undefined. */
  obstacleOf(item: Item): string | undefined {
    if (!isLive(item)) return 'the schedule is off'
    const servers = this.servers().filter((server) => ('id' in item.server ? server.id === item.server.id : server.name === item.server.name))
    const [server] = servers
    if (servers.length !== 1 || server === undefined) return `${servers.length} servers are meant`
    if (server.taskState !== null || !['ACTIVE', 'SHUTOFF', 'PAUSED', 'SUSPENDED'].includes(server.status)) return `the server is ${server.status} ${server.taskState}`
    const volumes = this.world.openstack.volumes()
    if (item.consistency === 'stopped' && !['ACTIVE', 'SHUTOFF'].includes(server.status)) return `the server is ${server.status}`
    if (server.volumeBacked && server.volumeIds.some((id) => volumes.find((volume) => volume.id === id)?.status !== 'in-use')) return 'a volume of the server is broken'
    return undefined
  }

  async close(): Promise<void> {
    await this.world.close()
  }
}
