import type { ServiceName } from './fault.ts'

/** A process of the cloud that can be down, by the name that the lab's `svc.sh` gives it. */
export type Daemon = 'keystone' | 'glance' | 'nova-compute' | 'cinder-volume' | 'rabbit'

/** The daemon that answers for a service; whoever asks while it is down finds nobody there. */
export const DAEMON_OF: Partial<Record<ServiceName, Daemon>> = { identity: 'keystone', image: 'glance' }

/** Which daemons are down, and what waits for them. */
export class Outages {
  readonly #down = new Map<Daemon, (() => void)[]>()

  isDown(daemon: Daemon | undefined): boolean {
    return daemon !== undefined && this.#down.has(daemon)
  }

  /** Has `act` happen as soon as a daemon is up: at once, if it is. */
  whenUp(daemon: Daemon, act: () => void): void {
    const waiting = this.#down.get(daemon)
    if (waiting === undefined) act()
    else waiting.push(act)
  }

  /** Stops a daemon; call the result to start it again. */
  stop(daemon: Daemon): () => void {
    const waiting = this.#down.get(daemon) ?? []
    this.#down.set(daemon, waiting)
    return () => {
      this.#down.delete(daemon)
      for (const act of waiting.splice(0)) act()
    }
  }
}
