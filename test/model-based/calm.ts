import { turnsBetween } from './calendar.ts'
import { mendStorage } from './commands.ts'
import { snapshotsOf } from './oracle.ts'
import type { Stage } from './stage.ts'

const dayMs = 24 * 60 * 60_000
/** How long after its last server's start a turn may take until its image is good. */
const settledMs = 90 * 60_000

/** What the item says, as far as it is judged. */
interface State {
  readonly lastRun?: { readonly period: string }
  readonly lastGood?: { readonly period: string; readonly image: string }
  readonly next?: string
  readonly problem?: string
}

/**
 * Repairs everything, lets the timers fire for four days and a half in which nobody does anything, and judges what is there then:
 * the slowest volume snapshot takes thirty hours, and what is left behind is looked at once a day.
 *
 * @throws Error when a law is broken.
 */
export async function calmDown(stage: Stage): Promise<void> {
  const { world, oracle } = stage
  stage.repair()
  mendStorage(stage)
  world.openstack.setQuotas(world.project, { imageQuota: Infinity, snapshotQuota: Infinity })
  world.aws.eventsFail = false
  const begin = stage.now
  const end = new Date(Math.floor(begin.getTime() / dayMs) * dayMs + 4 * dayMs + dayMs / 2)
  stage.tell('all is repaired')
  await stage.tickUntil(end)
  // What Cinder was asked to delete at the last tick is gone a moment later.
  stage.pass(1)
  stage.tell('days have passed in which nobody did anything')

  const view = oracle.conclude()
  const broken: string[] = []
  for (const [key, item] of oracle.items) {
    const state = ((await world.getSchedule(item.cadence, item.name))?.['state'] ?? {}) as State
    const turns = turnsBetween(item, begin, new Date(end.getTime() + 8 * dayMs))
    const latest = turns.findLast(({ to }) => to.getTime() + settledMs <= end.getTime())
    const next = turns.find(({ to }) => to > end)
    // Of a weekly one, what was there before may count still.
    if (latest === undefined || next === undefined) continue
    const obstacle = stage.obstacleOf(item)
    if (obstacle !== undefined) {
      // Its timing may have been changed since that turn had its image.
      const made = [...oracle.made.values()].some((image) => image.schedule === key && image.period === latest.period)
      if (item.enabled && !state.problem && !made) broken.push(`${key} tells no problem, although ${obstacle}`)
      continue
    }
    const { id } = stage.servers().find((server) => ('id' in item.server ? server.id === item.server.id : server.name === item.server.name))!
    const good = oracle.counted(key, id, view).filter((image) => {
      const made = oracle.made.get(image.id)!
      return made.schedule === key && made.period === latest.period
    })
    if (good.length !== 1) broken.push(`${key} has ${good.length} good images of ${latest.period}, and its state is ${JSON.stringify(state)}`)
    for (const image of good) {
      const members = Object.keys(image.members).toSorted().join()
      if (members !== [...(item.shareWith ?? [])].toSorted().join()) broken.push(`${image.name} (${image.id}) of ${key} is shared with ${members || 'nobody'}, and not with ${item.shareWith?.join() ?? 'nobody'}`)
    }
    if (state.problem) broken.push(`${key} tells a problem although all is well: ${state.problem}`)
    if (state.lastRun?.period !== latest.period) broken.push(`${key} says that its last run was for ${state.lastRun?.period}, and not for ${latest.period}`)
    if (state.lastGood?.image !== good[0]?.id) broken.push(`${key} says that its last good image is ${JSON.stringify(state.lastGood)}, and not ${good[0]?.id} of ${latest.period}`)
    const soon = new Date(state.next ?? 0)
    if (soon < next.from || soon > next.to) broken.push(`${key} says that it is next at ${state.next}, and not at ${next.from.toISOString()}`)
  }

  for (const { server, schedule } of oracle.made.values()) {
    const key = oracle.keeperOf({ server, schedule })
    const item = key === undefined ? undefined : oracle.items.get(key)
    if (!key || !item?.enabled || item.broken) continue
    const count = oracle.counted(key, server, view).length
    if (count > item.retention) broken.push(`${count} good images of server ${server} count for ${key}, which keeps ${item.retention}`)
  }
  for (const run of await world.runs()) {
    const age = end.getTime() - Date.parse(String(run['startedAt']))
    if (run['inFlight'] !== undefined && age > dayMs) broken.push(`this has been in flight for a day: ${JSON.stringify(run)}`)
  }
  for (const { id, name } of oracle.power.left(view.servers)) broken.push(`server ${name} (${id}) was stopped for its image, and never started again`)
  for (const { id, name } of oracle.leftovers(view, end)) broken.push(`image ${name} (${id}) of a failed attempt is left behind`)
  const named = new Set([...view.images.values()].flatMap(snapshotsOf))
  for (const snapshot of view.snapshots.values()) {
    if (!named.has(snapshot.id) && oracle.isOrphan(snapshot.id)) broken.push(`volume snapshot ${snapshot.id} (${snapshot.name}) is left behind`)
  }
  if (broken.length > 0) throw new Error([...new Set(broken)].map((what) => `LAW BROKEN: after calm days, ${what}`).join('\n'))
}
