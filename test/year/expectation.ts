import { timedCadences } from '../../lib/model/schedule.ts'
import type { Clocks } from './clocks.ts'
import { absences, isIn, lateMs, troubles, type Deed, type Item, type Machine, type Traits, type Trouble } from './estate.ts'
import { keptBy } from './keeping.ts'
import { turnsOf, type Turn } from './turns.ts'

const minuteMs = 60_000
const dayMs = 86_400_000

/** An image that must exist. */
export interface Expected {
  /** `<cadence>/<schedule>` */
  readonly schedule: string
  readonly machine: Machine
  readonly period: string
  readonly madeAt: Date
  /** When it is there, or gone if it `vanishes`. */
  readonly doneAt: Date
  readonly vanishes: boolean
  good: boolean
  protected: boolean
}

/** What became of the period of one server and schedule. */
interface Attempt {
  readonly standing: Standing
  readonly machine: Machine
  status: 'made' | 'good' | 'failed' | 'over'
  /** How many there were. */
  readonly count: number
  readonly image?: Expected
  /** An answer that was lost is known to have brought nothing at the next look. */
  readonly lostAt?: Date
  retryAt?: Date
}

/** A schedule with what is remembered of it. */
interface Standing {
  item: Item
  turns: readonly Turn[]
  /** When the schedule was first seen enabled. */
  since: Date | undefined
  /** Of an item with a server's name: the server that it ran for last. */
  known: Machine | undefined
  /** Of a selector: the servers that it matched when it was last looked at. */
  members: readonly Machine[] | undefined
  lastTried: Date | undefined
  /** When the last good image of each server was made. */
  readonly lastGood: Map<string, Date>
  /** By the server's id and the period. */
  readonly attempts: Map<string, Map<string, Attempt>>
}

/** A server of a schedule whose latest turn has begun and needs an image. */
interface Due {
  readonly standing: Standing
  readonly machine: Machine
  readonly turn: Turn
  readonly before: Turn | undefined
  readonly startsAt: Date
}

/**
 * Which images must exist, by the words of the documentation and the calendar on the wall: what each schedule owes at each
 * hour, and what retention leaves of it. It shares no code with what it expects.
 */
export class Expectation {
  /** By schedule and the server's id. */
  readonly #pools = new Map<string, Map<string, Set<Expected>>>()
  /** How many images have become good. */
  good = 0
  readonly #clocks: ReadonlyMap<string, Clocks>
  readonly #standings = new Map<string, Standing>()
  readonly #machines = new Map<string, Machine>()
  readonly #lastPrune = new Map<string, Date>()
  /** Schedules of which something has changed since retention was last gone by. */
  readonly #changed = new Set<string>()
  /** What is being made. */
  readonly #open = new Set<Attempt>()

  /** @param clocks - Of all zones, from well before the first tick until after the last. */
  constructor(clocks: ReadonlyMap<string, Clocks>) {
    this.#clocks = clocks
  }

  /** All that must exist now. */
  images(): Expected[] {
    return [...this.#pools.values()].flatMap((pools) => [...pools.values()].flatMap((pool) => [...pool]))
  }

  /** The images of one schedule and server. */
  #poolOf(schedule: string, { id }: Machine): Set<Expected> {
    const pools = this.#pools.get(schedule) ?? new Map<string, Set<Expected>>()
    const pool = pools.get(id) ?? new Set()
    this.#pools.set(schedule, pools.set(id, pool))
    return pool
  }

  /** People do something. */
  hear(deed: Deed): void {
    if ('put' in deed) this.#put(deed.put)
    else if ('drop' in deed) this.#standings.delete(deed.drop)
    else if ('boot' in deed) this.#machines.set(deed.boot.id, deed.boot)
    else if ('destroy' in deed) this.#machines.delete(this.#named(deed.destroy)[0]!.id)
    else if ('alter' in deed) {
      const [machine] = this.#named(deed.alter)
      this.#machines.set(machine!.id, { ...machine!, ...deed.machine })
    } else if ('protect' in deed) {
      const theirs = this.images().filter(({ schedule, machine, good }) => good && schedule === deed.protect && machine.name === deed.of)
      theirs.toSorted((a, b) => b.madeAt.getTime() - a.madeAt.getTime())[0]!.protected = true
    } else {
      const standing = this.#standings.get(deed.edit)!
      standing.item = { ...standing.item, ...deed.change } as Item
      standing.turns = turnsOf(standing.item, this.#clocksOf(standing.item))
    }
    for (const key of this.#standings.keys()) this.#changed.add(key)
  }

  #put(item: Item): void {
    const turns = turnsOf(item, this.#clocksOf(item))
    this.#standings.set(keyOf(item), { item, turns, since: undefined, known: undefined, members: undefined, lastTried: undefined, lastGood: new Map(), attempts: new Map() })
  }

  /** All timers fire: those that snapshot, and then the one that prunes. */
  tick(now: Date): void {
    for (const { image } of this.#open) if (image?.vanishes && image.doneAt <= clockAt(now)) this.#poolOf(image.schedule, image.machine).delete(image)
    for (const cadence of timedCadences) {
      const due: Due[] = []
      for (const standing of this.#standings.values()) {
        if (standing.item.cadence !== cadence || !isValid(standing.item)) continue
        if (!isEnabled(standing.item)) {
          standing.since = undefined
          continue
        }
        standing.since ??= now
        due.push(...this.#dueOf(standing, now))
      }
      this.#start(due, now)
    }
    for (const cloud of new Set([...this.#standings.values()].map(({ item }) => item.cloud))) if (!isAway(cloud, now)) this.#prune(cloud, now)
  }

  #clocksOf({ timeZone }: Item): Clocks {
    return this.#clocks.get(timeZone)!
  }

  #named(name: string): Machine[] {
    return [...this.#machines.values()].filter((machine) => machine.name === name)
  }

  #dueOf(standing: Standing, now: Date): Due[] {
    const { item, known } = standing
    const judge = (machine: Machine | undefined) => (machine ? this.#judge(standing, machine, now) : [])
    if (item.selector === undefined) {
      const byId = this.#machines.get(item.server!)
      if (byId) return judge(byId)
      const [named] = this.#named(item.server!)
      return known && known.id !== named?.id && judge(known).length === 0 ? [] : judge(named)
    }
    // Until an hour after each turn or attempt, and whenever a server that is known is due.
    const [first] = latest(standing.turns, now)
    const lastStart = first === undefined ? 0 : startOf(first) + spreadOf(item) * minuteMs
    const isWatched = now.getTime() < Math.max(lastStart, standing.lastTried?.getTime() ?? 0) + 60 * minuteMs
    if (!isWatched && standing.members && !standing.members.some((machine) => judge(machine).length > 0)) return []
    if (isAway(item.cloud, now)) return (standing.members ?? []).flatMap(judge)
    standing.members = [...this.#machines.values()].filter((machine) => machine.cloud === item.cloud && isMatch(item.selector!, machine))
    return standing.members.flatMap(judge)
  }

  /** Due is the latest turn that has begun, unless it has its image or is to be tried later. */
  #judge(standing: Standing, machine: Machine, now: Date): Due[] {
    const { item, turns, since, attempts } = standing
    const shareMs = shareOf(item, machine) * minuteMs
    const [turn, before] = latest(turns, new Date(now.getTime() - shareMs))
    if (turn === undefined) return []
    const startsAt = new Date(startOf(turn) + shareMs)
    const attempt = attempts.get(machine.id)?.get(turn.period)
    if (attempt === undefined) {
      if (item.onEnable?.toLowerCase() !== 'now' && startsAt < since!) return []
      if (before && attempts.get(machine.id)?.get(before.period)?.status === 'made') return []
    } else if (attempt.status !== 'failed' || attempt.retryAt! > now) return []
    return [{ standing, machine, turn, before, startsAt }]
  }

  /** One image of a server at a time, which is over when it is known to be good; the one whose last good image is oldest comes first. */
  #start(due: readonly Due[], now: Date): void {
    const madeAt = clockAt(now)
    const open = [...this.#open]
    const busy = new Set(open.filter(({ machine, image }) => image && !machine.volume && image.doneAt > madeAt).map(({ machine }) => machine.id))
    const making = new Set(open.map(({ machine }) => machine.id))
    const lastGood = ({ standing, machine }: Due) => standing.lastGood.get(machine.id)?.getTime() ?? 0
    const stalest = due.toSorted((a, b) => lastGood(a) - lastGood(b) || a.startsAt.getTime() - b.startsAt.getTime())
    for (const { standing, machine, turn, before } of stalest) {
      const { item, attempts } = standing
      const own = attempts.get(machine.id) ?? new Map<string, Attempt>()
      attempts.set(machine.id, own)
      const count = (own.get(turn.period)?.count ?? 0) + 1
      const fail = (what: string) => own.set(turn.period, { standing, machine, status: 'failed', count, retryAt: retryAt(what, count, now) })
      const previous = before && own.get(before.period)
      if (previous?.status === 'failed') previous.status = 'over'
      if (isAway(item.cloud, now)) {
        if (!item.selector) fail('CLOUD_UNREACHABLE')
        continue
      }
      const isBusy = busy.has(machine.id)
      const isUp = ['ACTIVE', 'SHUTOFF'].includes(machine.status)
      if (!isBusy && isUp && making.has(machine.id)) continue
      Object.assign(standing, { known: machine, lastTried: madeAt })
      if (isBusy) fail('SERVER_BUSY')
      else if (!isUp) fail('SERVER_STATE')
      else {
        making.add(machine.id)
        const trouble = troubleOf(machine, madeAt)
        if (trouble === 'CONFLICT' || trouble === 'QUOTA_IMAGES') fail(trouble)
        else if (trouble === 'ANSWER_LOST') {
          const attempt: Attempt = { standing, machine, status: 'made', count, lostAt: madeAt }
          own.set(turn.period, attempt)
          this.#open.add(attempt)
        } else {
          const doneAt = new Date(madeAt.getTime() + machine.minutes * minuteMs)
          const image = { schedule: keyOf(item), machine, period: turn.period, madeAt, doneAt, vanishes: trouble === 'vanishes', good: false, protected: false }
          this.#poolOf(image.schedule, machine).add(image)
          const attempt: Attempt = { standing, machine, status: 'made', count, image }
          own.set(turn.period, attempt)
          this.#open.add(attempt)
        }
      }
    }
  }

  #prune(cloud: string, now: Date): void {
    let good = 0
    for (const attempt of this.#open) {
      const { standing, image, lostAt, count } = attempt
      if (standing.item.cloud !== cloud || (image ? image.doneAt > clockAt(now) : now.getTime() - lostAt!.getTime() < 10 * minuteMs)) continue
      this.#open.delete(attempt)
      if (image && !image.vanishes) {
        attempt.status = 'good'
        image.good = true
        standing.lastGood.set(image.machine.id, image.madeAt)
        this.#changed.add(image.schedule)
        good += 1
      } else {
        attempt.status = 'failed'
        attempt.retryAt = retryAt(image ? 'IMAGE_GONE' : 'ANSWER_LOST', count, now)
      }
    }
    this.good += good
    const last = this.#lastPrune.get(cloud)
    const isDaily = last !== undefined && now.getTime() - last.getTime() >= dayMs - 5 * minuteMs
    if (good === 0 && !isDaily) {
      if (last === undefined) this.#lastPrune.set(cloud, now)
      return
    }
    this.#lastPrune.set(cloud, now)
    for (const { item } of this.#standings.values()) if (item.cloud === cloud && isValid(item) && isEnabled(item)) this.#keep(item)
  }

  /** Deletes what the rules of an item do not keep, of each of its servers. */
  #keep(item: Item): void {
    const keys = [keyOf(item), ...(item.adopts ?? []).filter((key) => !this.#standings.has(key))]
    if (!keys.some((key) => this.#changed.delete(key))) return
    const pools = keys.flatMap((key) => [...(this.#pools.get(key) ?? [])])
    for (const theirs of Map.groupBy(pools, ([machine]) => machine).values()) {
      const images = theirs.flatMap(([, pool]) => [...pool]).filter(({ good, protected: spared }) => good && !spared)
      const kept = keptBy(item, images, this.#clocksOf(item))
      for (const [, pool] of theirs) for (const image of pool) if (image.good && !image.protected && !kept.has(image)) pool.delete(image)
    }
  }
}

function keyOf({ cadence, schedule }: Item): string {
  return `${cadence}/${schedule}`
}

function clockAt(tick: Date): Date {
  return new Date(tick.getTime() + lateMs)
}

function isValid({ retention, keep }: Item): boolean {
  return keep !== undefined || Number(retention) > 0
}

function isEnabled({ enabled }: Item): boolean {
  return enabled === undefined || String(enabled).toLowerCase() === 'true'
}

function isAway(cloud: string, now: Date): boolean {
  return absences.some((absence) => absence.cloud === cloud && isIn(absence, now))
}

function troubleOf({ name }: Machine, at: Date): Trouble['what'] | undefined {
  return troubles.find((trouble) => trouble.server === name && isIn(trouble, at))?.what
}

function isMatch({ exclude, ...traits }: Item['selector'] & object, machine: Machine): boolean {
  return testsOf(traits, machine).every(Boolean) && !(exclude && testsOf(exclude, machine).some(Boolean))
}

function testsOf({ tags = [], metadata = {}, name }: Traits, machine: Machine): boolean[] {
  const glob = name === undefined ? undefined : new RegExp(`^${name.replaceAll('*', '.*').replaceAll('?', '.')}$`)
  return [...tags.map((tag) => machine.tags.includes(tag)), ...Object.keys(metadata).map((key) => machine.metadata[key] === metadata[key]), ...(glob ? [glob.test(machine.name)] : [])]
}

/** The latest turn that has begun, without a share, and the one before. */
function latest(turns: readonly Turn[], now: Date): readonly [Turn | undefined, Turn | undefined] {
  let [least, most] = [0, turns.length]
  while (least < most) {
    const middle = (least + most) >> 1
    if (startOf(turns[middle]!) <= now.getTime()) least = middle + 1
    else most = middle
  }
  return [turns[least - 1], turns[least - 2]]
}

function startOf({ minute }: Turn): number {
  return minute * minuteMs
}

function spreadOf({ spread, cadence }: Item): number {
  return Number(spread ?? (cadence === 'custom' ? 0 : 60))
}

const shares = new Map<string, bigint>()

/** A server's share of the spread: the FNV-1a hash of its id. */
function shareOf(item: Item, { id }: Machine): number {
  const spread = spreadOf(item)
  if (!shares.has(id)) shares.set(id, [...id].reduce((hash, letter) => ((hash ^ BigInt(letter.codePointAt(0)!)) * 16_777_619n) % 2n ** 32n, 2_166_136_261n))
  return spread === 0 ? 0 : Number(shares.get(id)! % BigInt(spread))
}

/** About 15 minutes, doubling to 4 hours; a busy server and an absent cloud after 15 each time, a quota after an hour. */
function retryAt(what: string, count: number, now: Date): Date {
  let minutes = Math.min(15 * 2 ** (count - 1), 240)
  if (what === 'SERVER_BUSY' || what === 'CLOUD_UNREACHABLE') minutes = 15
  if (what === 'QUOTA_IMAGES') minutes = 60
  if (what === 'ANSWER_LOST') minutes = Math.max(30, minutes)
  return new Date(now.getTime() + (minutes - 1) * minuteMs)
}
