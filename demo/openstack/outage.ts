import type { ServiceName } from './fault.ts'

/** A process of the cloud that can be down, by the name that the lab's `svc.sh` gives it. */
export type Daemon = 'glance'

/** The daemon that answers for a service; whoever asks while it is down finds nobody there. */
export const DAEMON_OF: Partial<Record<ServiceName, Daemon>> = { image: 'glance' }

/** Which daemons are down. */
export class Outages {
  readonly #down = new Set<Daemon>()

  isDown(daemon: Daemon | undefined): boolean {
    return daemon !== undefined && this.#down.has(daemon)
  }

  /** Stops a daemon; call the result to start it again. */
  stop(daemon: Daemon): () => void {
    this.#down.add(daemon)
    return () => {
      this.#down.delete(daemon)
    }
  }
}
