import { ownServer } from '../lib/installation.ts'
import { ScheduledImagesError } from '../lib/model/errors.ts'
import type { Server } from '../lib/model/server.ts'
import type { Cloud } from '../lib/runner/ports.ts'
import { indexServers } from '../lib/planner/selection.ts'
import type { Context } from './context.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether a person gave a server by its UUID: then it need not exist any more. */
export function isServerId(text: string): boolean {
  return uuid.test(text)
}

/**
 * The server that a person names, by UUID or by its exact name.
 *
 * @throws ScheduledImagesError `SERVER_NOT_FOUND` or `SERVER_AMBIGUOUS`.
 */
export async function findServer(text: string, cloud: Cloud): Promise<Server> {
  const missing = () => new ScheduledImagesError('SERVER_NOT_FOUND', `No server with a name or ID of "${text}" exists.`)
  if (isServerId(text)) {
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
  return isServerId(text) ? text.toLowerCase() : (await findServer(text, await open())).id
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
