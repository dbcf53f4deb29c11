import type { Problem } from '../model/errors.ts'
import type { Server } from '../model/server.ts'
import type { Consistency, Selector, ServerReference, Traits } from '../model/schedule.ts'

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

/**
 * Finds the servers that a selector matches: those that have all its tags, all its metadata and its name, but for those that
 * have any trait of `exclude`.
 *
 * @returns them in the order of the listing, or why nothing may be made of them.
 */
export function matchServers(selector: Selector, maxServers: number, servers: readonly Server[], cloud: string): readonly Server[] | Problem {
  const { exclude } = selector
  if ((selector.tags.length > 0 || exclude.tags.length > 0) && servers.some(({ tags }) => tags === undefined)) {
    return { code: 'SELECTOR_UNUSABLE', message: `Cloud "${cloud}" does not show the tags of its servers, so a selector cannot go by them. Use metadata or name.` }
  }
  const matched = servers.filter((server) => traitsOf(selector, server).every(Boolean) && !traitsOf(exclude, server).some(Boolean))
  if (matched.length === 0) {
    return { code: 'SELECTOR_EMPTY', message: `No server of the project of cloud "${cloud}" matches the selector; tags, metadata and names are compared exactly.` }
  }
  if (matched.length > maxServers) {
    return {
      code: 'SELECTOR_TOO_WIDE',
      message: `The selector matches ${matched.length} servers of cloud "${cloud}", more than maxServers allows (${maxServers}), so no image is made. Narrow it, or raise "maxServers".`,
    }
  }
  return matched
}

/** Whether a server has each of the traits. */
function traitsOf({ tags, metadata, name }: Traits, server: Server): boolean[] {
  return [
    ...tags.map((tag) => server.tags?.includes(tag) ?? false),
    ...Object.entries(metadata).map(([key, value]) => server.metadata[key] === value),
    ...(name === undefined ? [] : [matchesGlob(name, server.name)]),
  ]
}

/** Goes back to the last `*` only, so that no glob takes long: as a regular expression, one with many would. */
function matchesGlob(glob: string, text: string): boolean {
  const pattern = [...glob]
  const characters = [...text]
  let at = 0
  let star = -1
  let afterStar = 0
  for (let i = 0; i < characters.length; ) {
    if (pattern[at] === '*') {
      star = at++
      afterStar = i
    } else if (pattern[at] === '?' || pattern[at] === characters[i]) {
      at += 1
      i += 1
    } else if (star >= 0) {
      at = star + 1
      i = ++afterStar
    } else return false
  }
  return pattern.slice(at).every((character) => character === '*')
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

/**
 * Why a server's image would not be as consistent as its schedule demands, or undefined if it would.
 *
 * @param properties - Of the image that the server was made from, by which Nova decides whether to freeze the guest; undefined
 *   when they are not known. Nova freezes where it can, and only `os_require_quiesce` makes it fail where it cannot.
 * @see https://docs.openstack.org/nova/latest/admin/libvirt-misc.html
 */
export function consistencyRefusal(server: Server, consistency: Consistency, properties: Readonly<Record<string, string>> | undefined): Problem | undefined {
  if (consistency === 'stopped' && server.status !== 'ACTIVE' && server.status !== 'SHUTOFF') {
    return {
      code: 'SERVER_STATE',
      message: `Server "${server.name}" is in state ${server.status}, from which it cannot be stopped; consistency "stopped" needs it ACTIVE or SHUTOFF.`,
    }
  }
  if (consistency !== 'quiesced') return undefined
  const lacking = ['hw_qemu_guest_agent', 'os_require_quiesce'].filter((name) => !truth.has(properties?.[name]?.trim().toLowerCase() ?? ''))
  if (lacking.length === 0) return undefined
  const why = properties === undefined ? 'the image that it was made from is gone' : `the image that it was made from does not say ${lacking.map((name) => `${name}=yes`).join(' and ')}`
  return {
    code: 'QUIESCE_NOT_REQUIRED',
    message: `Server "${server.name}" cannot be quiesced for certain: ${why}. Rebuild it from an image that does, or set "consistency" to "live" or "stopped".`,
  }
}

/** How oslo.utils reads a boolean that is true. */
const truth = new Set(['yes', 'true', 'on', '1', 't', 'y'])
