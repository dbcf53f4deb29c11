import type { RecordedRequest, ServerSeen } from '../../demo/openstack/simulator.ts'

/** How long a request to stop that was left unanswered may be waited for. */
const watchedMs = 30 * 60_000

/** What the service owes a server that it has asked to stop while it ran. */
interface Owed {
  readonly since: Date
  /** It was asked to start again. */
  asked: boolean
  /** People have meddled with its power meanwhile, so nobody can tell whose turn it is. */
  meddledWith: boolean
}

/** Judges what the service does to the power of servers. */
export class Power {
  readonly #owed = new Map<string, Owed>()

  /** People stop, start or break a server. */
  meddle(server: string): void {
    const owed = this.#owed.get(server)
    if (owed) owed.meddledWith = true
  }

  /**
   * Called before a request of the service is carried out.
   *
   * @param server - As it is at that moment.
   * @param mayStop - Whether a schedule has it stopped for its images.
   * @returns the law that it breaks.
   */
  judge({ action, at }: RecordedRequest, server: ServerSeen, mayStop: boolean): string | undefined {
    const owed = this.#owed.get(server.id)
    if (action === 'os-stop') {
      if (!mayStop) return 'no server is stopped but for a schedule that says so'
      if (server.status === 'ACTIVE') this.#owed.set(server.id, { since: at, asked: false, meddledWith: owed?.meddledWith ?? false })
    }
    if (action === 'os-start') {
      if (owed === undefined) return 'no server is started that the service did not stop'
      owed.asked = true
    }
    return undefined
  }

  /**
   * Called when a request of the service was carried out.
   *
   * @param server - As it was before.
   * @param heard - The service knows what was answered.
   */
  observe({ method, action, status, at }: RecordedRequest, server: ServerSeen, heard: boolean): void {
    const owed = this.#owed.get(server.id)
    if (owed === undefined || !heard) return
    if (action === 'os-stop' && status >= 400 && status < 500) this.#owed.delete(server.id)
    const runs = server.status === 'ACTIVE' && server.taskState === null
    if (method === 'GET' && status === 200 && runs && (owed.asked || at.getTime() - owed.since.getTime() >= watchedMs)) this.#owed.delete(server.id)
  }

  /** The servers that the service has left stopped. */
  left(servers: readonly ServerSeen[]): ServerSeen[] {
    return servers.filter(({ id, status }) => status === 'SHUTOFF' && this.#owed.get(id)?.meddledWith === false)
  }
}
