import type { Problem } from '../model/errors.ts'
import type { Server } from '../model/server.ts'
import type { ServerReference } from '../model/schedule.ts'

/**
 * Finds the server that an item names in a complete listing of its project.
 *
 * The listing is matched here, exactly, and never by Nova: its `name` filter is an unanchored, case-insensitive regular
 * expression, and it ignores filters that it does not know (lab finding, §7).
 */
export function selectServer(reference: Exclude<ServerReference, { readonly selector: unknown }>, servers: ServerIndex, cloud: string): Server | Problem {
  if ('id' in reference) {
    const server = servers.byId.get(reference.id)
    if (server) return server
    return {
      code: 'SERVER_NOT_FOUND',
      message: `Server ${reference.id} does not exist in the project of cloud "${cloud}"; its images are kept. Correct the item's "server", or set "enabled" to false.`,
    }
  }
  const named = servers.byName.get(reference.name) ?? []
  if (named.length === 1) return named[0]!
  if (named.length === 0) {
    return {
      code: 'SERVER_NOT_FOUND',
      message: `No server is named "${reference.name}" in the project of cloud "${cloud}"; names are compared exactly. Correct the item's "server", or use the server's UUID.`,
    }
  }
  return {
    code: 'SERVER_AMBIGUOUS',
    message: `${named.length} servers are named "${reference.name}" in the project of cloud "${cloud}" (${named.map(({ id }) => id).join(', ')}). Use the UUID of the one that is meant.`,
  }
}

/** A complete listing, by id and by name. */
export interface ServerIndex {
  readonly byId: ReadonlyMap<string, Server>
  readonly byName: ReadonlyMap<string, readonly Server[]>
}

export function indexServers(servers: readonly Server[]): ServerIndex {
  return { byId: new Map(servers.map((server) => [server.id, server])), byName: Map.groupBy(servers, ({ name }) => name) }
}

/** The states in which Nova makes an image (lab finding, §2). A lock does not matter. */
const snapshotStates = new Set(['ACTIVE', 'SHUTOFF', 'PAUSED', 'SUSPENDED'])

/** After this long a server that OpenStack says makes an image is taken to be stuck. */
const stuckServerMs = 3_600_000

/**
 * Why Nova would refuse createImage for this server at this moment, or undefined if it would not.
 *
 * @param busySince - Since when each attempt has found it busy; undefined when the last one did not.
 */
export function refusalOf(server: Server, busySince: Date | undefined, now: Date): Problem | undefined {
  if (server.taskState !== null) {
    if (server.taskState.startsWith('image_') && busySince && now.getTime() - busySince.getTime() >= stuckServerMs) {
      return {
        code: 'SERVER_STUCK',
        message: `Server "${server.name}" has been making an image (${server.taskState}) for an hour or longer. If none is being made, OpenStack has lost track of it: a cloud administrator has to reset its state (openstack server set --state active ${server.id}).`,
      }
    }
    return { code: 'SERVER_BUSY', message: `Server "${server.name}" is busy (${server.taskState}); the image waits for it.` }
  }
  if (!snapshotStates.has(server.status)) {
    return {
      code: 'SERVER_STATE',
      message: `Server "${server.name}" is in state ${server.status}, in which OpenStack makes no image; it has to be ACTIVE, SHUTOFF, PAUSED or SUSPENDED.`,
    }
  }
  return undefined
}
