import { appendFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { LocalAws } from '../../demo/aws/services.ts'
import type { CloudUnderTest, Json } from '../contract/harness.ts'
import type { Chance } from './chance.ts'
import type { Business, Estate } from './estate.ts'
import type { FunctionName, Functions, Invocation } from './invocation.ts'
import { brokenAlways, brokenAtRest, runsOf, type Seen } from './law.ts'
import type { Ledger } from './ledger.ts'
import { daemons, Outage, type Daemon, type Daemons } from './outage.ts'

const quarterMs = 15 * 60_000
const dayMs = 24 * 60 * 60_000
const ticksPerDay = dayMs / quarterMs

/** How often an invocation with something to do is killed, and how often one has a twin at the same moment. */
const killed: Record<FunctionName, number> = { snapshotDaily: 0.8, prune: 0.6 }
const twinned = 0.4
/** On how many of the days a daemon is away for a while. */
const clouded = 0.75
/** The two timers of a tick, and twins, start at once or within this. */
const jitterMs = 1000
/** A day is spared after so many kills, or so many attempts of one server, so that it ends. */
const mostKillsPerDay = 8
const mostAttempts = 4
/** A kill is drawn over a little more than an invocation's usual life: some meet nobody. */
const overshoot = 1.1

/** Nova goes on with a request whose client was killed. It would be done within the quarter of an hour between two ticks; it gets this. */
const requestMs = 5000
/** So long OpenStack is given to come to rest between two ticks. */
const restMs = 45_000
/** How often it is not given that, as an image may take longer than from one tick to the next. */
const restless = 0.2
/** What is busy for so long, with all daemons running, has been forgotten by OpenStack itself: an operator has to help. */
const stuckMs = 25_000
const lookMs = 500
/** A tick that changed nothing is mostly followed by others like it: so many of them are left out. */
const skippedTicks = 3
/** So long is a daemon away at most. */
const longestOutageMs = 15_000
const mostTicksAway = 3

/** What a storm works with. */
export interface Surroundings {
  readonly cloud: CloudUnderTest
  readonly aws: LocalAws
  readonly estate: Estate
  readonly ledger: Ledger
  readonly functions: Functions
  /** Undefined where nobody may stop a daemon. */
  readonly daemons: Daemons | undefined
  readonly chance: Chance
  /** A file for what the functions print. */
  readonly log: string
  readonly say: (line: string) => void
}

/** Days of ticks, in which the functions are killed and the cloud's daemons come and go. */
export class Storm {
  readonly #around: Surroundings
  /** 01:00 of the day that is or comes next. */
  #day: number
  /** The number of the day's tick that comes next. */
  #tick = 0
  /** The days that are over, oldest first. */
  readonly periods: string[] = []
  readonly kills: Record<FunctionName, number> = { snapshotDaily: 0, prune: 0 }
  readonly outages: Record<Daemon, number> = { rabbit: 0, 'nova-compute': 0, glance: 0, 'cinder-volume': 0 }
  invocations = 0
  /** How often an operator had to free what OpenStack had forgotten. */
  helped = 0
  #outage: Outage | undefined
  #upcoming: Daemon[] = []
  #busyMs = 0
  /** Kills on the days before this one. */
  #killedBefore = 0
  /** How long an invocation with something to do usually lives. */
  readonly #lives: Record<FunctionName, number> = { snapshotDaily: 4000, prune: 3000 }

  /** @param first - 01:00 of the first day. */
  constructor(around: Surroundings, first: Date) {
    this.#around = around
    this.#day = first.getTime()
  }

  get killed(): number {
    return this.kills.snapshotDaily + this.kills.prune
  }

  get #period(): string {
    return new Date(this.#day).toISOString().slice(0, 10)
  }

  /**
   * One day: ticks until each server has its good image.
   *
   * @param wild - Kill, double, and take daemons away; a calm day has none of it.
   * @throws Error with each law that is broken at its end.
   */
  async day(wild: boolean): Promise<void> {
    if (this.#tick > 0) this.#day += dayMs
    this.#tick = 0
    this.#killedBefore = this.killed
    const { chance } = this.#around
    const awayAt = wild && chance.happens(clouded) ? chance.between(0, 1) : undefined
    for (let passed = 0; ; passed += 1) {
      if (this.#tick >= ticksPerDay) throw new Error(`${this.#period} is over, and not every server has its good image`)
      if (passed === awayAt) await this.#takeAway()
      await this.#invokeBoth(wild)
      if (await this.#isDone(wild)) break
    }
    await this.#giveBack()
    this.periods.push(this.#period)
    const broken = brokenAlways(await this.seen())
    if (broken.length > 0) throw new Error(broken.join('\n'))
  }

  /** Lets the ticks of the last day go on until nothing is left to be done. @returns what is still broken when the day is over. */
  async comeToRest(): Promise<string[]> {
    for (;;) {
      const broken = brokenAtRest(await this.seen())
      if (broken.length === 0 || this.#tick >= ticksPerDay) return broken
      await this.#invokeBoth(false)
    }
  }

  async seen(): Promise<Seen> {
    const { estate, ledger, aws } = this.#around
    const [holdings, records, schedules] = await Promise.all([estate.holdings(), ledger.records(), ledger.schedules()])
    return { ...holdings, records, schedules, servers: estate.servers, people: estate.people, events: aws.events, periods: this.periods }
  }

  /** One tick: both timers fire, and sometimes one of them twice. Then time passes until the next one. */
  async #invokeBoth(wild: boolean): Promise<void> {
    const { chance, functions, ledger } = this.#around
    const at = new Date(this.#day + this.#tick * quarterMs)
    const records = await ledger.records()
    const runs = this.#today(records)
    const busy: Record<FunctionName, boolean> = {
      snapshotDaily: runs.some((run) => run === undefined || (run['status'] === 'failed' && Date.parse(run['retryAt']) <= at.getTime())),
      prune: this.#tick === 0 || records.some(({ inFlight }) => inFlight !== undefined),
    }
    const spared = !wild || this.killed - this.#killedBefore >= mostKillsPerDay || runs.some((run) => run?.['attempt'] > mostAttempts)
    const quiet = this.#outage === undefined
    const invoke = async (name: FunctionName): Promise<Invocation> => {
      const kills = busy[name] && !spared && chance.happens(killed[name])
      const killAfterMs = kills ? chance.upTo(this.#lives[name] * overshoot) : undefined
      if (wild && chance.happens(0.5)) await pause(chance.upTo(jitterMs))
      const invoked = await functions.invoke(name, at, killAfterMs)
      this.#note(invoked, at)
      if (busy[name] && quiet && !invoked.killed) this.#lives[name] = (this.#lives[name] + invoked.ms) / 2
      return invoked
    }
    const names = (['snapshotDaily', 'prune'] as const).flatMap((name) => (busy[name] && !spared && chance.happens(twinned) ? [name, name] : [name]))
    const invoked = await Promise.all(names.map(invoke))
    this.#tick += 1
    this.#outage?.tickPassed()
    if (this.#outage?.ending) await this.#giveBack()
    if (quiet && isDeepStrictEqual(await ledger.records(), records)) this.#tick += skippedTicks
    await this.#rest(wild, invoked)
  }

  #note({ name, killed, summary, ms, output }: Invocation, at: Date): void {
    this.invocations += 1
    if (killed) this.kills[name] += 1
    const end = killed ? 'was killed' : summary === undefined ? 'FAILED' : JSON.stringify(summary)
    appendFileSync(this.#around.log, `--- ${name} at ${at.toISOString()} ${end} after ${Math.round(ms)} ms\n${output}`)
    // DynamoDB is well, and OpenStack's troubles are part of the job: nothing excuses an error.
    if (!killed && summary === undefined) throw new Error(`${name} at ${at.toISOString()} ended in error:\n${output}`)
  }

  /** Each server's run of the day, if it has one. */
  #today(records: readonly Json[]): (Json | undefined)[] {
    return this.#around.estate.servers.map((server) => runsOf(server, { records }).find(({ period }) => period === this.#period))
  }

  /** Whether each server has its image; if not, moves on to the tick at which something is due or in flight. */
  async #isDone(wild: boolean): Promise<boolean> {
    const { chance, ledger } = this.#around
    const records = await ledger.records()
    const open = this.#today(records).filter((run) => run?.['status'] !== 'good')
    const inFlight = records.some((record) => record['inFlight'] !== undefined)
    // On some days what was begun to be deleted meets another tick.
    if (open.length === 0) return !(wild && inFlight && chance.happens(0.5))
    if (open.every((run) => run?.['status'] === 'failed')) {
      const retries = open.map((run) => Date.parse(run!['retryAt']))
      this.#tick = Math.max(this.#tick, Math.ceil((Math.min(...retries) - this.#day) / quarterMs))
    }
    return false
  }

  /** The quarter of an hour between two ticks: OpenStack goes on by itself. */
  async #rest(wild: boolean, invoked: readonly Invocation[]): Promise<void> {
    const { chance, cloud, estate } = this.#around
    if (this.#outage) {
      await cloud.sleep(chance.upTo(2))
      return
    }
    if (invoked.some(({ name, killed }) => name === 'snapshotDaily' && killed)) await cloud.sleep(requestMs / 1000)
    if (wild && chance.happens(restless)) return
    for (let restedMs = 0; restedMs < restMs; restedMs += lookMs) {
      const business = await estate.business()
      if (business === undefined) {
        this.#busyMs = 0
        return
      }
      await cloud.sleep(lookMs / 1000)
      this.#busyMs += lookMs
      if (this.#busyMs >= stuckMs) {
        this.#busyMs = 0
        await this.#help(business)
      }
    }
  }

  /** Rabbit loses what is on its way when it stops. Then Nova and Cinder wait for ever, until an operator does what follows. */
  async #help({ sentence, snapshots, servers }: Business): Promise<void> {
    const { cloud, daemons, say } = this.#around
    if (!daemons) return
    this.helped += 1
    say(`an operator helps: ${sentence}`)
    if (servers) await daemons.restart('nova-compute')
    for (const id of snapshots) {
      const reply = await (await cloud.api('admin')).request('block-storage', 'POST', `/snapshots/${id}/action`, { body: { 'os-reset_status': { status: 'error' } } })
      say(`reset volume snapshot ${id}: ${reply.status}`)
    }
  }

  async #takeAway(): Promise<void> {
    const { chance, daemons: all, say } = this.#around
    if (!all) return
    if (this.#upcoming.length === 0) this.#upcoming = chance.shuffled(daemons)
    const daemon = this.#upcoming.shift()!
    this.outages[daemon] += 1
    this.#outage = new Outage(daemon, chance.between(1, mostTicksAway), longestOutageMs, all)
    say(`${daemon} stops`)
    // Or it stops in the middle of the next tick.
    if (chance.happens(0.5)) await this.#outage.begun
  }

  async #giveBack(): Promise<void> {
    if (!this.#outage) return
    const { cloud, estate, say } = this.#around
    await this.#outage.end()
    await cloud.until(() => estate.holdings().then(() => true, () => false), (answers) => answers)
    say(`${this.#outage.daemon} is back`)
    this.#outage = undefined
    this.#busyMs = 0
  }
}
