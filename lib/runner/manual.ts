import type { Run } from '../model/run.ts'
import type { Schedule } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import { refusalOf } from '../planner/selection.ts'
import { refuseInconsistent } from './consistency.ts'
import type { Cloud, Ports, Tick } from './ports.ts'
import { start, type Item, type SnapshotSummary } from './start.ts'
import { writeState } from './state.ts'

/** Nobody tries a manual image again; its run is remembered for as long as any. */
const periodMs = 24 * 3_600_000

/**
 * Asks for one image of a server now, as a run of a manual schedule whose period is this second: with the same marks, claims and
 * checks as every other. Settling and pruning are prune's.
 *
 * @returns the run as the table holds it then: `saving`, `starting` when the answer was lost, or `failed` with its problem.
 *   Undefined in a dry run, and when somebody asked for one of the same schedule in this second.
 */
export async function snapshotNow(schedule: Schedule, server: Server, cloud: Cloud, tick: Tick, ports: Ports): Promise<Run | undefined> {
  const at = new Date(Math.floor(tick.now.getTime() / 1000) * 1000)
  const turn = { period: at.toISOString().replace('.000', ''), startsAt: at }
  const item: Item = { schedule, since: at, server: server.id, change: {} }
  const summary: SnapshotSummary = {
    schedules: 1, invalid: 0, disabled: 0, notDue: 0, started: 0, failed: 0, busy: 0, missed: 0,
    waiting: 0, claimedElsewhere: 0, recovered: 0, unreachable: 0, planned: 0, faults: 0,
  }
  const decision = { kind: 'due', turn, until: new Date(at.getTime() + periodMs), attempt: 1 } as const
  const refusal = refusalOf(server, undefined, ports.clock())
  const [startable] = await refuseInconsistent([{ item, decision, server, refusal, forgotten: false, lastGood: undefined }], cloud)
  await start(cloud, startable!, { tick, ports, summary })
  if (ports.dryRun || summary.claimedElsewhere > 0) return undefined
  const { next: _never, ...change } = item.change
  await writeState(schedule, { problem: undefined, ...change }, ports)
  const key = { server: server.id, schedule: schedule.key, period: turn.period }
  const [run] = (await ports.runs.get([key])).values()
  return run
}
