import type { LastPrune } from '../../lib/model/record.ts'
import { runKeyText, type Deletion, type Restart, type Run, type RunKey, type Sweep } from '../../lib/model/run.ts'
import type { InFlight, Runs, ServersInFlight } from '../../lib/runner/ports.ts'

const rememberedMs = 35 * 24 * 3_600_000

/** The runs table in memory: each write is conditional on what its caller last saw, and what is over is forgotten after a time. */
export class MemoryRuns implements Runs {
  readonly #runs = new Map<string, Run>()
  readonly #inFlight = new Set<string>()
  readonly #deletions = new Map<string, Deletion>()
  readonly #sweeps = new Map<string, Sweep>()
  readonly #restarts = new Map<string, Restart>()
  readonly #pruned = new Map<string, LastPrune>()

  async get(keys: readonly RunKey[]): Promise<Map<string, Run>> {
    const found = new Map<string, Run>()
    for (const key of keys) {
      const text = runKeyText(key)
      const run = this.#runs.get(text)
      if (run) found.set(text, run)
    }
    return found
  }

  async claim(run: Run, after: Run | undefined): Promise<boolean> {
    if (after) return this.advance(after, run)
    if (this.#runs.has(runKeyText(run))) return false
    this.#write(run)
    return true
  }

  async advance(before: Run, after: Run): Promise<boolean> {
    const current = this.#runs.get(runKeyText(after))
    if (current?.runId !== before.runId || current.status !== before.status) return false
    this.#write(after)
    return true
  }

  #write(run: Run): void {
    const text = runKeyText(run)
    this.#runs.set(text, run)
    if (run.status === 'starting' || run.status === 'saving') this.#inFlight.add(text)
    else this.#inFlight.delete(text)
  }

  async serversInFlight(cloud: string, since: Date): Promise<ServersInFlight> {
    const ofThose = ({ cloud: name, startedAt }: Run | Restart) => name === cloud && startedAt > since
    return { making: this.#flying().filter(ofThose).map(({ server }) => server), stopped: [...this.#restarts.values()].filter(ofThose).map(({ server }) => server) }
  }

  async inFlight(): Promise<InFlight> {
    return { runs: this.#flying(), deletions: [...this.#deletions.values()], sweeps: [...this.#sweeps.values()], restarts: [...this.#restarts.values()] }
  }

  #flying(): Run[] {
    return [...this.#inFlight].map((text) => this.#runs.get(text)!)
  }

  async putDeletion(deletion: Deletion): Promise<void> {
    this.#deletions.set(deletion.image, deletion)
  }

  async removeDeletion(deletion: Deletion): Promise<void> {
    this.#deletions.delete(deletion.image)
  }

  async putSweep(sweep: Sweep): Promise<void> {
    this.#sweeps.set(sweep.runId, sweep)
  }

  async removeSweep(sweep: Sweep): Promise<void> {
    this.#sweeps.delete(sweep.runId)
  }

  async putRestart(restart: Restart): Promise<void> {
    this.#restarts.set(restart.runId, restart)
  }

  async removeRestart(restart: Restart): Promise<void> {
    this.#restarts.delete(restart.runId)
  }

  async lastPrune(cloud: string): Promise<LastPrune | undefined> {
    return this.#pruned.get(cloud)
  }

  async recordPrune(cloud: string, last: LastPrune): Promise<void> {
    this.#pruned.set(cloud, last)
  }

  /** What DynamoDB does with records that have expired. */
  expire(now: Date): void {
    for (const [text, run] of this.#runs) if (!this.#inFlight.has(text) && now.getTime() - run.until.getTime() > rememberedMs) this.#runs.delete(text)
  }
}
