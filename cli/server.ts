import { ownServer } from '../lib/installation.ts'
import { ScheduledImagesError } from '../lib/model/errors.ts'
import type { RunKey } from '../lib/model/run.ts'
import type { ParsedSchedule } from '../lib/model/schedule.ts'
import type { Server } from '../lib/model/server.ts'
import { isUuid } from '../lib/model/uuid.ts'
import { indexServers } from '../lib/planner/selection.ts'
import type { Cloud, Runs } from '../lib/runner/ports.ts'
import type { Context } from './context.ts'

/**
 * The server that a person names, by UUID or by its exact name.
 *
 * @throws ScheduledImagesError `SERVER_NOT_FOUND` or `SERVER_AMBIGUOUS`.
 */
export async function findServer(text: string, cloud: Cloud): Promise<Server> {
  const missing = () => new ScheduledImagesError('SERVER_NOT_FOUND', `No server with a name or ID of "${text}" exists.`)
  if (isUuid(text)) {
    const server = await cloud.compute.getServer(text.toLowerCase())
    if (server) return server
    throw missing()
  }
  const named = indexServers(await cloud.compute.listServers()).byName.get(text) ?? []
  if (named.length > 1) throw new ScheduledImagesError('SERVER_AMBIGUOUS', `${named.length} servers are named "${text}": ${named.map(({ id }) => id).join(', ')}. Give the UUID of the one that is meant.`)
  if (!named[0]) throw missing()
  return named[0]
}

/** The id of the server that a person names. A UUID is taken as it is: no cloud is asked. */
export async function serverId(text: string, open: () => Promise<Cloud>): Promise<string> {
  return isUuid(text) ? text.toLowerCase() : (await findServer(text, await open())).id
}

/** What servers that items give by UUID were named when they last ran, by the keys of the schedules. No cloud is asked. */
export async function lastNames(items: readonly ParsedSchedule[], runs: Pick<Runs, 'get'>): Promise<ReadonlyMap<string, string>> {
  const last = await runs.get(items.flatMap(lastRunKeys))
  // The run of a server that is gone knows no name.
  return new Map([...last.values()].filter(({ server, serverName }) => serverName !== server).map(({ schedule, serverName }) => [schedule, serverName]))
}

function lastRunKeys(item: ParsedSchedule): RunKey[] {
  if (!item.valid || !('id' in item.schedule.server)) return []
  const { key, server: { id }, state: { lastGood, lastRun } } = item.schedule
  const periods = new Set([lastGood, lastRun].flatMap((last) => (last ? [last.period] : [])))
  return [...periods].map((period) => ({ server: id, schedule: key, period }))
}

/**
 * The server that this machine is.
 *
 * @throws ScheduledImagesError `SERVER_NOT_FOUND` when nothing tells, or the cloud does not know it.
 */
export async function findOwn(cloud: Cloud, { options, env }: Pick<Context, 'options' | 'env'>): Promise<Server> {
  const { ids, source } = await ownServer(env)
  const [first] = ids
  if (first === undefined) throw new ScheduledImagesError('SERVER_NOT_FOUND', `Which server this machine is cannot be told: ${source}. Give the server's name or UUID.`)
  for (const id of ids) {
    const server = await cloud.compute.getServer(id)
    if (server) return server
  }
  throw new ScheduledImagesError('SERVER_NOT_FOUND', `This machine is server ${first}, as ${source} says, and the project of cloud "${options.cloud}" has no such server. Give the credentials of its own project, or the server that is meant.`)
}
