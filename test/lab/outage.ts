import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** The daemons that are taken away and given back. */
export const daemons = ['rabbit', 'nova-compute', 'glance', 'cinder-volume'] as const
export type Daemon = (typeof daemons)[number]

/**
 * What listens to rabbit. Nova and Cinder drop a request for a daemon whose queue is not there yet, so rabbit counts as
 * started once each of these listens again; starting what runs only waits for that.
 */
const listeners = ['nova-conductor', 'nova-scheduler', 'nova-compute', 'cinder-scheduler', 'cinder-volume']

/** A cloud's daemons, through a script that is called with `stop NAME` and `start NAME`. */
export class Daemons {
  readonly #script: string

  constructor(script: string) {
    this.#script = script
  }

  async stop(daemon: Daemon): Promise<void> {
    await this.#call('stop', daemon)
  }

  async start(daemon: Daemon): Promise<void> {
    await this.#call('start', daemon)
    if (daemon === 'rabbit') for (const listener of listeners) await this.#call('start', listener)
  }

  async restart(daemon: Daemon): Promise<void> {
    await this.stop(daemon)
    await this.start(daemon)
  }

  async #call(verb: string, daemon: string): Promise<void> {
    await promisify(execFile)('bash', [this.#script, verb, daemon], { timeout: 120_000 })
  }
}

/** A daemon is away until so many ticks have passed, or for so long at most: what hangs on it would wait for ever. */
export class Outage {
  readonly daemon: Daemon
  readonly begun: Promise<void>
  /** Fulfilled once the daemon is back. */
  readonly over: Promise<void>
  /** The daemon is being given back, or is back. */
  ending = false
  #ticksLeft: number
  readonly #enough = Promise.withResolvers<void>()

  constructor(daemon: Daemon, ticks: number, longestMs: number, all: Daemons) {
    this.daemon = daemon
    this.#ticksLeft = ticks
    this.begun = all.stop(daemon)
    this.over = this.#last(longestMs, all)
    // Whoever waits for it gets the error; a tick may come first.
    this.over.catch(() => {})
  }

  async #last(longestMs: number, all: Daemons): Promise<void> {
    const timer = setTimeout(() => this.#end(), longestMs)
    await this.begun
    await this.#enough.promise
    clearTimeout(timer)
    await all.start(this.daemon)
  }

  #end(): void {
    this.ending = true
    this.#enough.resolve()
  }

  tickPassed(): void {
    this.#ticksLeft -= 1
    if (this.#ticksLeft <= 0) this.#end()
  }

  /** Gives it back now, if that has not begun. */
  async end(): Promise<void> {
    this.#end()
    await this.over
  }
}
