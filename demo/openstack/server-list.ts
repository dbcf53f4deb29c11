import type { Answer, WireRequest } from './answer.ts'
import { Refusal, json } from './answer.ts'
import type { Cloud, ServerRecord, TokenRecord } from './cloud.ts'
import { repr } from './python.ts'
import { foldTag } from './server-tags.ts'
import { STATUSES, serverBrief, serverView, statusOf, vmStateOf } from './server-view.ts'

/** Every query parameter that nova has a meaning for; from 2.75 others are refused, before that they are ignored. */
const KNOWN = new Set(
  `access_ip_v4 access_ip_v6 all_tenants auto_disk_config availability_zone changes-before changes-since config_drive
   created_at deleted description display_description display_name flavor host hostname image image_ref ip ip6
   kernel_id key_name launch_index launched_at limit locked locked_by marker name node not-tags not-tags-any power_state
   progress project_id ramdisk_id reservation_id root_device_name soft_deleted sort_dir sort_key status tags tags-any
   task_state tenant_id terminated_at user_id uuid vm_state`.split(/\s+/),
)

/** `GET /servers` and `/servers/detail`, newest first. */
export function listServers(
  cloud: Cloud,
  caller: TokenRecord,
  request: WireRequest,
  minor: number,
  detail: boolean,
): Answer {
  const { query } = request
  const limit = pageLimit(query.get('limit'), cloud.settings.serverPageLimit)
  const test = filters(query, minor)
  const everyone = query.get('all_tenants')
  if (everyone !== null && everyone !== '0' && everyone !== 'False' && caller.role !== 'admin') {
    const what = detail ? 'detail' : 'index'
    throw new Refusal(403, `Policy doesn't allow os_compute_api:servers:${what}:get_all_tenants to be performed.`)
  }
  const all = [...cloud.servers.values()].toReversed()
  const marker = query.get('marker')
  const start = marker === null ? 0 : all.findIndex(({ id }) => id === marker) + 1
  if (marker !== null && start === 0) throw new Refusal(400, `marker [${marker}] not found`)
  const servers: ServerRecord[] = []
  for (let index = start; index < all.length && servers.length < limit; index += 1) {
    const server = all[index]
    if (server === undefined || (everyone === null && server.projectId !== caller.project?.id)) continue
    if (server.vmState !== 'deleted' && test(server)) servers.push(server)
  }
  const last = servers.at(-1)
  const more = last !== undefined && servers.length === limit
  const rest = new URLSearchParams(request.search)
  rest.delete('marker')
  const next = `${cloud.url}/compute${request.path}?${rest.size > 0 ? `${rest.toString()}&` : ''}marker=${last?.id}`
  return json(200, {
    servers: servers.map((server) => (detail ? serverView(cloud, server, minor, false) : serverBrief(cloud, server))),
    ...(more && { servers_links: [{ rel: 'next', href: next }] }),
  })
}

function pageLimit(given: string | null, cap: number): number {
  if (given === null || given === '') return cap
  if (!/^[0-9]*$/.test(given)) {
    throw new Refusal(
      400,
      `Invalid input for query parameters limit. Value: ${given}. ${repr(given)} does not match '^[0-9]*$'`,
    )
  }
  return Math.min(Number(given), cap)
}

function filters(query: URLSearchParams, minor: number): (server: ServerRecord) => boolean {
  const unknown = [...query.keys()].find((key) => !KNOWN.has(key) && !key.startsWith('_'))
  if (minor >= 75 && unknown !== undefined) {
    throw new Refusal(400, `${repr(unknown)} does not match any of the regexes: '^_'`)
  }
  const tests: ((server: ServerRecord) => boolean)[] = []
  const name = query.get('name')
  if (name !== null) {
    const pattern = regex(name)
    tests.push((server) => pattern.test(server.name))
  }
  const statuses = query.getAll('status').map((status) => status.toUpperCase())
  if (statuses.length > 0) {
    const known = statuses.filter((status) => STATUSES.has(status))
    if (known.length === 0 && minor >= 38) throw new Refusal(400, 'Invalid status value')
    // Nova translates the status to states, so a server being rebuilt is found as ACTIVE as well.
    tests.push((server) => known.some((status) => status === statusOf(server) || vmStateOf(status) === server.vmState))
  }
  const image = query.get('image')
  if (image !== null) tests.push((server) => server.imageRef === image)
  const flavor = query.get('flavor')
  if (flavor !== null) tests.push((server) => server.flavorId === flavor)
  const locked = minor >= 73 ? query.get('locked') : null
  if (locked !== null) tests.push((server) => server.locked === /^(true|1)$/i.test(locked))
  if (minor >= 26) tests.push(...tagFilters(query))
  return (server) => tests.every((test) => test(server))
}

/** Lists of tags with commas between them; of a repeated filter the last one counts. */
function tagFilters(query: URLSearchParams): ((server: ServerRecord) => boolean)[] {
  const meanings: Record<string, (tags: readonly string[], wanted: readonly string[]) => boolean> = {
    tags: (tags, wanted) => wanted.every((tag) => tags.includes(tag)),
    'tags-any': (tags, wanted) => wanted.some((tag) => tags.includes(tag)),
    'not-tags': (tags, wanted) => !wanted.every((tag) => tags.includes(tag)),
    'not-tags-any': (tags, wanted) => !wanted.some((tag) => tags.includes(tag)),
  }
  return Object.entries(meanings).flatMap(([key, holds]) => {
    const value = query.getAll(key).at(-1)
    if (value === undefined) return []
    regex(value, key)
    const wanted = value.split(',').map(foldTag)
    return [({ tags }: ServerRecord) => holds(tags.map(foldTag), wanted)]
  })
}

/** Unanchored and without case (lab README §7). */
function regex(value: string, parameter = 'name'): RegExp {
  const refusal = new Refusal(
    400,
    `Invalid input for query parameters ${parameter}. Value: ${value}. ${repr(value)} is not a 'regex'`,
  )
  if (value === '') throw refusal
  try {
    return new RegExp(value, 'iu')
  } catch {
    throw refusal
  }
}
