import { ScheduledImagesError } from '../../lib/model/errors.ts'
import type { ScheduledImageEvent } from '../../lib/model/event.ts'
import { marks, type Image } from '../../lib/model/image.ts'
import { timedCadences } from '../../lib/model/schedule.ts'
import type { LogFields, Ports } from '../../lib/runner/ports.ts'
import { prune } from '../../lib/runner/prune.ts'
import { snapshot } from '../../lib/runner/snapshot.ts'
import { absences, isIn, lateMs, type Deed } from './estate.ts'
import { MemoryCloud } from './memory-cloud.ts'
import { MemoryRuns } from './memory-runs.ts'
import { MemorySchedules } from './memory-schedules.ts'

/** The service with everything that it talks to, in memory. */
export class World {
  readonly schedules = new MemorySchedules()
  readonly runs = new MemoryRuns()
  readonly clouds: ReadonlyMap<string, MemoryCloud>
  readonly events: ScheduledImageEvent[] = []
  /** What the log tells as errors. */
  readonly errors: (LogFields & { readonly message: string })[] = []
  readonly #ports: Ports
  #now = new Date(0)
  #ids = 0

  constructor(clouds: Iterable<string>) {
    const clock = () => this.#now
    const newId = () => `1d000000-0000-4000-8000-${String((this.#ids += 1)).padStart(12, '0')}`
    this.clouds = new Map([...clouds].map((name) => [name, new MemoryCloud(name, clock, newId)]))
    this.#ports = {
      schedules: this.schedules,
      runs: this.runs,
      clouds: { open: async (name) => this.#open(name) },
      events: { publish: (event) => void this.events.push(event) },
      metrics: { record: () => {} },
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: (message, fields) => void this.errors.push({ ...fields, message }) },
      clock,
      newId,
      sleep: () => Promise.reject(new Error('nothing of the estate waits')),
      dryRun: false,
      maxDeletes: 100,
    }
  }

  #open(name: string): MemoryCloud {
    const isAway = absences.some((absence) => absence.cloud === name && isIn(absence, this.#now))
    if (isAway) throw new ScheduledImagesError('CLOUD_UNREACHABLE', `Cloud "${name}" cannot be reached.`)
    return this.clouds.get(name)!
  }

  /** Lets the time of a tick come: the clouds finish what they were at. */
  passTo(tick: Date): void {
    this.#now = new Date(tick.getTime() + lateMs)
    for (const cloud of this.clouds.values()) cloud.pass()
    if (tick.getUTCHours() === 0) this.runs.expire(this.#now)
  }

  /** Has people do something. */
  hear(deed: Deed): void {
    if ('put' in deed) this.schedules.put(deed.put)
    else if ('edit' in deed) this.schedules.edit(deed.edit, deed.change)
    else if ('drop' in deed) this.schedules.drop(deed.drop)
    else if ('boot' in deed) this.clouds.get(deed.boot.cloud)!.place(deed.boot)
    else if ('destroy' in deed) this.#cloudOf(deed.destroy).remove(deed.destroy)
    else if ('alter' in deed) this.#cloudOf(deed.alter).alter(deed.alter, deed.machine)
    else {
      const cloud = this.#cloudOf(deed.of)
      const [newest] = this.images().filter(({ properties, name }) => properties[marks.schedule] === deed.protect && name.includes(`-${deed.of}-`) && properties[marks.seal]).toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
      cloud.images.set(newest!.id, { ...newest!, protected: true })
    }
  }

  #cloudOf(machine: string): MemoryCloud {
    return [...this.clouds.values()].find((cloud) => cloud.has(machine))!
  }

  images(): Image[] {
    return [...this.clouds.values()].flatMap((cloud) => [...cloud.images.values()])
  }

  /** All timers fire: those that snapshot, and then the one that prunes. @returns the faults that they counted. */
  async tick(now: Date): Promise<number> {
    const tick = { now, timeLeftMs: () => 300_000 }
    let faults = 0
    for (const cadence of timedCadences) faults += (await snapshot(cadence, tick, this.#ports)).faults
    const { faults: ofPrune, refused } = await prune(tick, this.#ports)
    return faults + ofPrune + refused
  }

  /** What should not be there once nothing is under way: records in flight, and volume snapshots that no image names. */
  async leftovers(): Promise<unknown[]> {
    const { runs, deletions, sweeps, restarts } = await this.runs.inFlight()
    const made = new Set(runs.map(({ image }) => image))
    const mappings = this.images().map(({ properties }) => properties['block_device_mapping'] ?? '')
    const unnamed = [...this.clouds.values()].flatMap(({ snapshots }) => [...snapshots.keys()]).filter((id) => !mappings.some((mapping) => mapping.includes(id)))
    const unsealed = this.images().filter(({ id, properties }) => properties[marks.seal] !== id && !made.has(id))
    return [...deletions, ...sweeps, ...restarts, ...unnamed, ...unsealed]
  }
}
