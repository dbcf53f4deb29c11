import type { Problem } from '../model/errors.ts'
import type { Server } from '../model/server.ts'
import { busySince } from '../planner/due.ts'
import { matchServers, refusalOf, selectServer, type ServerIndex } from '../planner/selection.ts'
import { sift, type Candidate, type Judged } from './judgement.ts'
import type { Due, Invocation, Item, Member, Startable } from './start.ts'

/** A selector that cannot be used is looked at this often, in case it was corrected or servers came. */
const lookAgainMs = 60 * 60_000

/**
 * Finds each candidate's servers, and decides about those that were not known, or where a name now means another server than it did.
 *
 * @param isAsked - Which of the servers that a selector matches are looked at.
 */
export async function resolve(candidates: readonly Candidate[], cloud: string, index: ServerIndex, invocation: Invocation, isAsked: (item: Item, server: string) => boolean = () => true): Promise<Startable[]> {
  const startable: Startable[] = []
  const undecided: Item[] = []
  for (const candidate of candidates) {
    const { item, judged } = candidate
    const { server: reference } = item.schedule
    if ('selector' in reference) {
      const matched = matchServers(reference.selector, item.schedule.maxServers, [...index.byId.values()], cloud)
      if ('code' in matched) startable.push(...refused(candidate, matched, 'server', invocation))
      else {
        item.members = matched.filter(({ id }) => isAsked(item, id)).map(({ id, name }): Member => ({ ...item, server: id, serverName: name, change: {} }))
        undecided.push(...item.members)
      }
      continue
    }
    const server = selectServer(reference, index, cloud)
    if ('code' in server) {
      startable.push(...refused(candidate, server, 'server', invocation))
      continue
    }
    item.change.missingSince = undefined
    if (judged && server.id === item.server) startable.push(startableOf(judged, server, invocation))
    else undecided.push({ ...item, server: server.id })
  }
  for (const { judged } of await sift(undecided, invocation)) startable.push(startableOf(judged, index.byId.get(judged.item.server!)!, invocation))
  return startable
}

function startableOf({ item, decision, forgotten, lastGood }: Judged & { readonly decision: Due }, server: Server, { ports }: Invocation): Startable {
  return { item, decision, server, forgotten, lastGood, refusal: refusalOf(server, busySince(decision.after), ports.clock()) }
}

/**
 * A candidate whose cloud or server could not be reached. Its run is recorded as failed, so that the period is not
 * forgotten; where only a name is known there is no run to record, and the item alone says what is wrong.
 */
export function refused({ item, judged }: Candidate, refusal: Problem, what: 'cloud' | 'server', { tick, ports, summary }: Invocation): Startable[] {
  summary.unreachable += 1
  const { schedule, change } = item
  let problem = refusal
  if (refusal.code === 'SERVER_NOT_FOUND') {
    change.missingSince = schedule.state.missingSince ?? tick.now.toISOString()
    problem = { code: refusal.code, message: `${refusal.message} It has been missing since ${change.missingSince}.` }
  }
  // The id that a name had is good enough while only the cloud is away, but not once the name means none or two.
  if (judged && (what === 'cloud' || 'id' in schedule.server)) {
    const { decision } = judged
    const id = item.server!
    const name = (decision.after ?? decision.missed)?.serverName ?? id
    return [{ ...judged, server: { id, name, status: 'UNKNOWN', taskState: null, volumes: [], tags: undefined, metadata: {}, host: undefined, image: undefined }, refusal: problem }]
  }
  change.problem = problem.message
  change.next = what === 'server' && 'selector' in schedule.server ? new Date(tick.now.getTime() + lookAgainMs).toISOString() : undefined
  ports.log.warn(problem.message, { cloud: schedule.cloud, schedule: schedule.key, code: problem.code })
  if (schedule.state.problem !== problem.message) {
    const reason = { code: problem.code, message: problem.message }
    ports.events.publish({ type: 'Scheduled Image Failed', cloud: schedule.cloud, schedule: schedule.key, reason })
  }
  return []
}

/** Two schedules of one cadence make two images of a server, which few people mean. */
export function warnOfSeveral(due: readonly Startable[], items: readonly Item[], { ports }: Invocation): void {
  const schedules = new Map<string, Set<string>>()
  for (const item of items) {
    for (const { server } of item.members ?? [item]) {
      if (server !== undefined) schedules.set(server, (schedules.get(server) ?? new Set()).add(item.schedule.key))
    }
  }
  for (const server of new Map(due.map((startable) => [startable.server.id, startable.server])).values()) {
    const keys = [...(schedules.get(server.id) ?? [])]
    if (keys.length < 2) continue
    ports.log.warn(`server "${server.name}" is in ${keys.length} schedules of one cadence (${keys.join(', ')}), and each makes its own image of it`, { server: server.id, schedules: keys })
  }
}
