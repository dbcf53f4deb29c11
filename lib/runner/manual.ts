import { ScheduledImagesError, type Problem } from '../model/errors.ts'
import { runKeyText, type Run, type RunKey } from '../model/run.ts'
import { invalidSentence, parseSchedule, type Schedule, type ScheduleItem } from '../model/schedule.ts'
import type { Server } from '../model/server.ts'
import { stuckAfterMs } from '../planner/follow-up.ts'
import { refusalOf } from '../planner/selection.ts'
import { refuseInconsistent } from './consistency.ts'
import { reserveMs, type Cloud, type Ports, type ScheduleItems, type Tick } from './ports.ts'
import { prune } from './prune.ts'
import { nothingYet, start, type Item } from './start.ts'
import { writeState } from './state.ts'

/** How often an image that somebody waits for is looked at. */
const pollMs = 3000
/** Of a type that nobody gave a rotation. */
const firstRotation = 7

/** Whose images, and how many of them are kept. */
export interface ManualWish {
  /** UUID. */
  readonly server: string
  readonly cloud: string
  /** Images of each type are counted by themselves; lower-case letters, digits, `_`, `.` and `-`. */
  readonly type: string
  /** Undefined: as it was. */
  readonly rotation: number | undefined
}

/** The name of the manual schedule of one type of one server's images. */
export function manualName({ server, type }: Pick<ManualWish, 'server' | 'type'>): string {
  return `${type}-${server}`
}

/**
 * The manual schedule that a wish is for, written where there is none or where the wish has another rotation or cloud; what else people
 * wrote into its item stays.
 *
 * @throws ScheduledImagesError `SCHEDULE_INVALID`, and `SCHEDULE_DISABLED` when its item says so.
 */
export async function manualSchedule(wish: ManualWish, ports: Pick<Ports, 'dryRun'> & { readonly schedules: ScheduleItems }): Promise<Schedule> {
  const key = { cadence: 'manual', name: manualName(wish) } as const
  const present = await ports.schedules.get(key)
  const change = present ? changeOf(present, wish) : {}
  const item = present ? { ...present, ...change } : itemOf(wish)
  const parsed = parseSchedule(item)
  if (!parsed.valid) throw new ScheduledImagesError('SCHEDULE_INVALID', `The schedule manual/${key.name} is not valid, so no image is made: ${invalidSentence(parsed.invalid)}`)
  const { schedule } = parsed
  if (!schedule.enabled) throw new ScheduledImagesError('SCHEDULE_DISABLED', `The schedule ${schedule.key} is disabled, so no image is made; set its "enabled" to true.`)
  if (ports.dryRun) return schedule
  const isWritten = present ? Object.keys(change).length === 0 || (await ports.schedules.edit(key, change)) : await ports.schedules.create(item)
  // Somebody else wrote or removed it meanwhile.
  return isWritten ? schedule : manualSchedule(wish, ports)
}

function itemOf({ server, cloud, type, rotation = firstRotation, ...wish }: ManualWish): ScheduleItem {
  const imageName = `${type[0]!.toUpperCase()}${type.slice(1)}-{server}-{time}`
  return { cadence: 'manual', schedule: manualName({ server, type, ...wish }), server, cloud, retention: rotation, ...(type !== 'manual' && { imageName }) }
}

function changeOf({ cloud = 'default', retention, keep }: ScheduleItem, wish: ManualWish): ScheduleItem {
  const { rotation } = wish
  const rotates = rotation !== undefined && (keep !== undefined || Number(retention) !== rotation)
  // Who says how many to keep means just that.
  return { ...(cloud !== wish.cloud && { cloud: wish.cloud }), ...(rotates && { retention: rotation, keep: undefined }) }
}

/** What came of asking for an image. */
export type Asked =
  /** The run as the table holds it: `saving`; `starting` with a problem when the answer was lost; `failed` with the reason. */
  | { readonly kind: 'run'; readonly run: Run }
  /** In a dry run; `refusal` says why it would not be asked for. */
  | { readonly kind: 'planned'; readonly refusal: Problem | undefined }
  /** No time was left. */
  | { readonly kind: 'not asked' }

/**
 * Asks for one image of a server now, as a run of a manual schedule whose period is this second: with the same marks, claims and
 * checks as every other. Settling and pruning are prune's.
 *
 * @throws ScheduledImagesError `SERVER_BUSY` when an image of the same schedule was asked for in this second.
 */
export async function snapshotNow(schedule: Schedule, server: Server, cloud: Cloud, tick: Tick, ports: Ports): Promise<Asked> {
  const at = new Date(Math.floor(tick.now.getTime() / 1000) * 1000)
  const turn = { period: at.toISOString().replace('.000', ''), startsAt: at }
  const item: Item = { schedule, since: at, server: server.id, change: {} }
  const summary = nothingYet()
  // Its period is over at once: nobody tries a manual image again.
  const decision = { kind: 'due', turn, until: at, attempt: 1 } as const
  const refusal = refusalNow(server, ports.clock()) ?? (await refusalOfOthers(schedule, server, tick, ports))
  const [startable] = await refuseInconsistent([{ item, decision, server, refusal, forgotten: false, lastGood: undefined }], cloud)
  await start(cloud, startable!, { tick, ports, summary })
  if (summary.waiting > 0) return { kind: 'not asked' }
  if (ports.dryRun) return { kind: 'planned', refusal: startable!.refusal }
  if (summary.claimedElsewhere > 0) throw new ScheduledImagesError('SERVER_BUSY', `An image of ${schedule.key} was asked for in this very second.`)
  const { next: _never, ...change } = item.change
  await writeState(schedule, { problem: undefined, ...change }, ports)
  const key = { server: server.id, schedule: schedule.key, period: turn.period }
  return { kind: 'run', run: (await read(key, ports))! }
}

/** Nobody tries again by himself. */
function refusalNow(server: Server, now: Date): Problem | undefined {
  const refusal = refusalOf(server, undefined, now)
  return refusal?.code === 'SERVER_BUSY' ? { ...refusal, message: `Server "${server.name}" is busy (${server.taskState}); try again when it is not.` } : refusal
}

/**
 * Why another image of the server has to be finished first, by the runs table: Nova accepts two at once for a server that boots from
 * a volume, and of two requests in one moment it leaves an image of an ordinary one queued for ever.
 */
async function refusalOfOthers({ cloud, consistency }: Schedule, { id, name }: Server, tick: Tick, ports: Ports): Promise<Problem | undefined> {
  if (ports.dryRun) return undefined
  const look = async () => {
    const { making, stopped } = await ports.runs.serversInFlight(cloud, new Date(ports.clock().getTime() - stuckAfterMs))
    return making.includes(id) || (consistency === 'stopped' && stopped.includes(id))
  }
  if (!(await look())) return undefined
  // It may be finished, and nobody has looked since.
  await prune(tick, ports)
  return (await look()) ? { code: 'SERVER_BUSY', message: `Another image of server "${name}" is being made; try again when it is there.` } : undefined
}

/**
 * Settles a run, and prunes, once there is something to settle.
 *
 * @param until - `captured`: OpenStack has copied the disk, and what changes from then on is not in the image. An image of volumes is
 *   captured when it is good.
 * @param report - Told what is waited for, at each look.
 * @returns the run as it is then; in flight still when the tick's time was over before.
 */
export async function awaitRun(run: Run, until: 'captured' | 'good', cloud: Cloud, tick: Tick, ports: Ports, report: (phase: string) => void): Promise<Run> {
  let current = run
  for (;;) {
    const image = current.image === undefined ? undefined : await cloud.image.getImage(current.image)
    const status = current.image === undefined ? 'not found yet' : (image?.status ?? 'gone')
    if (status === 'saving' && until === 'captured') return current
    report(status)
    const isStuck = ports.clock().getTime() - run.startedAt.getTime() >= stuckAfterMs
    if (isStuck || (status !== 'queued' && status !== 'saving')) await prune(tick, ports)
    current = (await read(run, ports)) ?? current
    if (current.status !== 'starting' && current.status !== 'saving') return current
    if (tick.timeLeftMs() >= reserveMs) await ports.sleep(pollMs)
    if (tick.timeLeftMs() < reserveMs) return current
  }
}

async function read({ server, schedule, period }: RunKey, ports: Pick<Ports, 'runs'>): Promise<Run | undefined> {
  const key = { server, schedule, period }
  return (await ports.runs.get([key])).get(runKeyText(key))
}
