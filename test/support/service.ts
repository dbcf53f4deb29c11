import { randomUUID } from 'node:crypto'
import type { World } from '../../demo/world.ts'
import { timedCadences, type TimedCadence } from '../../lib/model/schedule.ts'
import type { LogFields, Metrics } from '../../lib/runner/ports.ts'
import { wire, type Edges, type Service } from '../../lib/wiring.ts'
import { watchLog } from './secrecy.ts'

export interface LogLine extends LogFields {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
}

/** The service in a simulated world, as its timers would run it. */
export interface TestService extends Service {
  readonly lines: LogLine[]
  /** What each metric was given, by its name, oldest first. */
  readonly metrics: Readonly<Record<string, readonly number[]>>
  /** Sets the clock, runs the snapshot function of one cadence, and sends its events. */
  snapshotAt(cadence: TimedCadence, at: string): ReturnType<Service['snapshot']>
  pruneAt(at: string): ReturnType<Service['prune']>
  /** All functions once, as at any tick of a real day. */
  tickAt(at: string): Promise<void>
}

export function serviceIn(world: World, env: Record<string, string> = {}, edges: Partial<Edges> = {}): TestService {
  const lines: LogLine[] = []
  const record = (level: LogLine['level']) => (message: string, fields: LogFields = {}) => lines.push({ ...fields, level, message })
  const log = { debug: record('debug'), info: record('info'), warn: record('warn'), error: record('error') }
  const recorded: Record<string, number[]> = {}
  const metrics: Metrics = { record: (name, value) => void (recorded[name] ??= []).push(value) }
  watchLog(world, lines)
  const service = wire({ env: { ...world.env, ...env }, clock: world.clock, newId: randomUUID, sleep: () => Promise.resolve(), log, metrics, ...edges })
  const tick = (at: string) => {
    world.setClock(at)
    return { now: new Date(at), timeLeftMs: () => 300_000 }
  }
  const snapshotAt: TestService['snapshotAt'] = (cadence, at) => service.snapshot(cadence, tick(at)).finally(service.flush)
  const pruneAt: TestService['pruneAt'] = (at) => service.prune(tick(at)).finally(service.flush)
  return {
    ...service,
    lines,
    metrics: recorded,
    snapshotAt,
    pruneAt,
    tickAt: async (at) => {
      for (const cadence of timedCadences) await snapshotAt(cadence, at)
      await pruneAt(at)
    },
  }
}
