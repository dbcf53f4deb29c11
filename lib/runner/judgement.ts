import { runKeyText, type Run, type RunKey } from '../model/run.ts'
import type { Turn } from '../planner/calendar.ts'
import { decideDue, turnsAt, type Decision } from '../planner/due.ts'
import { isForgotten, rememberedOf } from '../planner/recovery.ts'
import { recordMissed, type Due, type Invocation, type Item } from './start.ts'

/** What is known of an item whose server's id is known. */
export interface Judged {
  readonly item: Item
  readonly decision: Decision
  readonly forgotten: boolean
  readonly lastGood: Date | undefined
}

/** An item that is due, or (without a judgement) may be: its servers have not been looked up yet. */
export interface Candidate {
  readonly item: Item
  readonly judged?: Judged & { readonly decision: Due }
}

/** Of items whose server's id is known: those that are due. The others are left until later. */
export async function sift(items: readonly Item[], invocation: Invocation): Promise<(Candidate & Required<Pick<Candidate, 'judged'>>)[]> {
  const due: (Candidate & Required<Pick<Candidate, 'judged'>>)[] = []
  for (const judged of await judge(items, invocation)) {
    const { item, decision } = judged
    if (decision.kind === 'due') due.push({ item, judged: { ...judged, decision } })
    else await leave(item, decision, invocation)
  }
  return due
}

/** Decides about items whose server's id is known; reads their runs, and asks nothing of OpenStack. */
async function judge(items: readonly Item[], { tick, ports }: Invocation): Promise<Judged[]> {
  const keyed = items.map((item) => {
    const { schedule } = item
    const turns = turnsAt(schedule, item.server, tick.now)
    const key = ({ period }: Turn): RunKey => ({ server: item.server!, schedule: schedule.key, period })
    // A selector's item remembers one of its servers: when the table has forgotten that run, it has forgotten the others too.
    const { lastRun } = schedule.state
    const witness = 'selector' in schedule.server && lastRun?.period === turns.current.period ? { server: lastRun.server, schedule: schedule.key, period: lastRun.period } : undefined
    return { item, turns, current: key(turns.current), previous: key(turns.previous), witness }
  })
  const current = await ports.runs.get(keyed.flatMap((entry) => [entry.current, ...(entry.witness ? [entry.witness] : [])]))
  // Of one server of a selector, only the run before tells when its last good image was made.
  const isAsked = ({ item, current: key }: (typeof keyed)[number]) => {
    const run = current.get(runKeyText(key))
    return run === undefined || (run.status === 'failed' && 'selector' in item.schedule.server)
  }
  const previous = await ports.runs.get(keyed.filter(isAsked).map((entry) => entry.previous))
  return keyed.map((entry) => {
    const { item, turns, witness } = entry
    const { schedule } = item
    const runs = { current: current.get(runKeyText(entry.current)), previous: previous.get(runKeyText(entry.previous)) }
    const decision = decideDue(schedule, item.server!, turns, runs, item.since, tick.now)
    const last = runs.current ?? runs.previous
    if (last) Object.assign(item.change, rememberedOf(schedule, last))
    // The item shows the problem of the run that counts now, whichever function found it.
    item.change.problem = runs.current?.problem?.message
    if (decision.kind === 'not due' && decision.reason === 'the image of the previous period is still being made') {
      item.change.problem = runs.previous?.problem?.message ?? `The image of ${turns.previous.period} is still being made, and that of ${turns.current.period} waits for it.`
    }
    const forgotten = witness ? runs.current === undefined && !current.has(runKeyText(witness)) : isForgotten(schedule, item.server!, turns.current, runs.current)
    const remembered = 'selector' in schedule.server ? undefined : schedule.state.lastGood?.time
    const lastGood = remembered === undefined ? goodSince(runs.previous) : new Date(remembered)
    return { item, decision, forgotten, lastGood }
  })
}

function goodSince(run: Run | undefined): Date | undefined {
  return run?.status === 'good' ? (run.createdAt ?? run.startedAt) : undefined
}

async function leave(item: Item, decision: Extract<Decision, { kind: 'not due' }>, invocation: Invocation): Promise<void> {
  invocation.summary.notDue += 1
  item.change.next = decision.next.toISOString()
  invocation.ports.log.debug(`not due: ${decision.reason}`, { cloud: item.schedule.cloud, schedule: item.schedule.key, server: item.server! })
  await recordMissed(item, decision, invocation)
}
