import type { Answer, Service, WireRequest } from './answer.ts'
import { Refusal, empty, json, novaFault, page, unauthorized } from './answer.ts'
import type { Cloud, ServerRecord, TokenRecord } from './cloud.ts'
import { COMPUTE_QUOTAS, quotaSet, serversUsed } from './quota.ts'
import { checkMetadata, checkObject, checkText, parseBody } from './request-schema.ts'
import { actOnServer, demandUnlocked, recordAction } from './server-action.ts'
import { bootServer, deleteServer } from './server-boot.ts'
import { listServers } from './server-list.ts'
import { event, finish } from './server-snapshot.ts'
import { serverTags } from './server-tags.ts'
import { actionView, attachmentView, flavorView, serverLinks, serverView } from './server-view.ts'

/** For how long nova trusts a token that it has once looked up (lab README §6). */
const TOKEN_CACHE_SECONDS = 300

/** Nova. */
export function compute(cloud: Cloud): Service {
  return {
    answer(request) {
      const { path } = request
      if (path === '/') return json(200, { versions: [versionTwo(cloud), version(cloud)] })
      if (!path.startsWith('/v2.1')) return json(300, { choices: [version(cloud)] })
      if (path === '/v2.1' || path === '/v2.1/') return json(200, { version: version(cloud) })
      const caller = cloud.caller(request.headers['x-auth-token'], TOKEN_CACHE_SECONDS)
      if (caller === undefined) return unauthorized()
      const minor = microversion(cloud, request)
      const spoken = `2.${minor}`
      const headers = {
        'openstack-api-version': `compute ${spoken}`,
        'x-openstack-nova-api-version': spoken,
        vary: 'OpenStack-API-Version, X-OpenStack-Nova-API-Version',
      }
      let answer: Answer
      try {
        answer = route(cloud, caller, request, minor) ?? page(404, 'The resource could not be found.')
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        answer = novaFault(error.status, error.message)
      }
      return { ...answer, headers: { ...answer.headers, ...headers } }
    },
    refuse: ({ status, message }) => novaFault(status, message),
  }
}

/**
 * The minor version to speak. A header for another service means nothing to nova.
 *
 * @throws {@link Refusal} 406 for one that this cloud does not speak.
 */
function microversion(cloud: Cloud, request: WireRequest): number {
  const [, named] = /^compute (.+)$/.exec(request.headers['openstack-api-version'] ?? '') ?? []
  const wanted = named ?? request.headers['x-openstack-nova-api-version'] ?? '2.1'
  const most = cloud.settings.maxMicroversion
  if (wanted === 'latest') return most
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(wanted) ?? []
  if (minor === undefined) {
    throw new Refusal(400, `API Version String ${wanted} is of invalid format. Must be of format MajorNum.MinorNum.`)
  }
  if (major !== '2' || Number(minor) < 1 || Number(minor) > most) {
    throw new Refusal(406, `Version ${wanted} is not supported by the API. Minimum is 2.1 and maximum is 2.${most}.`)
  }
  return Number(minor)
}

function route(cloud: Cloud, caller: TokenRecord, request: WireRequest, minor: number): Answer | undefined {
  const { method } = request
  const [kind, id, part, name, ...rest] = request.path.slice('/v2.1/'.length).split('/')
  if (rest.length > 0) return undefined
  if (kind === 'limits' && method === 'GET') return limits(cloud, caller, minor)
  if (kind === 'flavors' && method === 'GET') return flavors(cloud, request, id, minor)
  if (kind === 'os-keypairs') return keys(caller, request, id)
  if (kind === 'os-quota-sets') return quotaSet(cloud, caller, request, id, COMPUTE_QUOTAS)
  if (kind !== 'servers') return undefined
  if (id === undefined) {
    if (method === 'GET') return listServers(cloud, caller, request, minor, false)
    return method === 'POST' ? create(cloud, caller, request, minor) : undefined
  }
  if (id === 'detail' && method === 'GET') return listServers(cloud, caller, request, minor, true)
  if (part === 'action' && method === 'POST') {
    return actOnServer(cloud, caller, request, minor, (unknown) => ownServer(cloud, caller, id, unknown))
  }
  if (part === 'metadata') return metadata(cloud, caller, request, id, name)
  if (part === 'tags') {
    // No route matches a tag with a slash.
    if (name === '' || /%2f/i.test(name ?? '')) return undefined
    if (minor < 26) throw new Refusal(404, 'The resource could not be found.')
    return serverTags(cloud, caller, request, id, name)
  }
  const server = ownServer(cloud, caller, id)
  if (part === undefined && method === 'GET') return json(200, { server: serverView(cloud, server, minor, true) })
  if (part === undefined && method === 'PUT') {
    parseBody(request.body)
    return json(200, { server: serverView(cloud, server, minor, true) })
  }
  if (part === undefined && method === 'DELETE') return remove(cloud, caller, request, server)
  if (part === 'os-instance-actions' && method === 'GET') return actions(server, name, minor)
  if (part === 'os-volume_attachments' && method === 'GET') {
    return json(200, { volumeAttachments: attachmentView(server, minor) })
  }
  return undefined
}

/** @throws {@link Refusal} 404, for other projects' servers as well (lab README §2). */
function ownServer(
  cloud: Cloud,
  caller: TokenRecord,
  id: string,
  unknown = 'could not be found',
): ServerRecord {
  const server = cloud.servers.get(id)
  if (server === undefined) throw new Refusal(404, `Instance ${id} ${unknown}.`)
  if (server.projectId !== caller.project?.id && caller.role !== 'admin') {
    throw new Refusal(404, `Instance ${id} could not be found.`)
  }
  return server
}

function version(cloud: Cloud): object {
  return {
    id: 'v2.1',
    status: 'CURRENT',
    version: `2.${cloud.settings.maxMicroversion}`,
    min_version: '2.1',
    updated: '2013-07-23T11:33:21Z',
    links: [
      { rel: 'self', href: `${cloud.url}/compute/v2.1/` },
      { rel: 'describedby', type: 'text/html', href: 'http://docs.openstack.org/' },
    ],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.compute+json;version=2.1' }],
  }
}

function versionTwo(cloud: Cloud): object {
  return {
    id: 'v2.0',
    status: 'SUPPORTED',
    version: '',
    min_version: '',
    updated: '2011-01-21T11:33:21Z',
    links: [{ rel: 'self', href: `${cloud.url}/compute/v2/` }],
  }
}

function create(cloud: Cloud, caller: TokenRecord, request: WireRequest, minor: number): Answer {
  const server = bootServer(cloud, caller, parseBody(request.body), minor)
  const entry = recordAction(cloud, server, caller, 'create', request.requestId)
  finish(cloud, entry, event(cloud, entry, 'compute__do_build_and_run_instance'), 'Success')
  const view = {
    id: server.id,
    links: serverLinks(cloud, server.id),
    'OS-DCF:diskConfig': 'MANUAL',
    security_groups: [{ name: 'default' }],
    adminPass: 'GoRrW4c56jz2',
  }
  return json(202, { server: view }, { location: `${cloud.url}/compute/v2.1/servers/${server.id}` })
}

function remove(cloud: Cloud, caller: TokenRecord, request: WireRequest, server: ServerRecord): Answer {
  demandUnlocked({ caller }, server)
  recordAction(cloud, server, caller, 'delete', request.requestId)
  deleteServer(cloud, server)
  return empty(204, { 'content-type': 'application/json' })
}

function metadata(
  cloud: Cloud,
  caller: TokenRecord,
  request: WireRequest,
  id: string,
  key: string | undefined,
): Answer | undefined {
  const { method } = request
  const holder = key === undefined ? 'metadata' : 'meta'
  const writes = method === 'PUT' || (method === 'POST' && key === undefined)
  const body = writes ? parseBody(request.body) : {}
  if (writes && !(holder in body)) throw new Refusal(400, `'${holder}' is a required property`)
  const given = writes ? checkMetadata(body[holder]) : {}
  const server = ownServer(cloud, caller, id)
  const name = key === undefined ? undefined : decodeURIComponent(key)
  if (name !== undefined && writes && !(name in given)) throw new Refusal(400, 'Request body and URI mismatch')
  if (name !== undefined && !writes && !server.metadata.has(name)) {
    throw new Refusal(404, 'Metadata item was not found')
  }
  if (method === 'DELETE' && name !== undefined) {
    server.metadata.delete(name)
    return empty(204, { 'content-type': 'application/json' })
  }
  if (writes) {
    if (method === 'PUT' && name === undefined) server.metadata.clear()
    for (const [item, value] of Object.entries(given)) server.metadata.set(item, value)
    server.updatedAt = cloud.second()
  } else if (method !== 'GET') return undefined
  const shown = name === undefined ? server.metadata : new Map([[name, server.metadata.get(name)]])
  return json(200, { [holder]: Object.fromEntries(shown) })
}

function actions(server: ServerRecord, requestId: string | undefined, minor: number): Answer {
  if (requestId === undefined) {
    return json(200, { instanceActions: server.actions.map((entry) => actionView(server, entry, minor, false)) })
  }
  const found = server.actions.find((entry) => entry.requestId === requestId)
  if (found === undefined) throw new Refusal(404, `Action ${requestId} not found`)
  return json(200, { instanceAction: actionView(server, found, minor, true) })
}

function flavors(cloud: Cloud, { query, path }: WireRequest, id: string | undefined, minor: number): Answer {
  if (id === undefined || id === 'detail') {
    const known = [...cloud.flavors.keys()]
    const first = known.indexOf(query.get('marker') ?? '') + 1
    const shown = known.slice(first, first + Number(query.get('limit') ?? cloud.settings.serverPageLimit))
    const last = shown.at(-1)
    const next = `${cloud.url}/compute${path}?limit=${shown.length}&marker=${last}`
    return json(200, {
      flavors: shown.map((each) => flavorView(cloud, each, id === 'detail', minor)),
      ...(last !== known.at(-1) && { flavors_links: [{ rel: 'next', href: next }] }),
    })
  }
  if (!cloud.flavors.has(id)) throw new Refusal(404, `Flavor ${id} could not be found.`)
  return json(200, { flavor: flavorView(cloud, id, true, minor) })
}

/** A user's own keys, whatever the project. */
function keys({ user }: TokenRecord, request: WireRequest, id: string | undefined): Answer | undefined {
  const name = id === undefined ? undefined : decodeURIComponent(id)
  if (name === undefined) {
    if (request.method !== 'POST') return undefined
    const wanted = checkObject('keypair', parseBody(request.body)['keypair'], ['name', 'public_key'], ['name', 'public_key'])
    const made = { name: checkText('name', wanted['name'], 1, 255), public_key: checkText('public_key', wanted['public_key'], 1, 65_535) }
    user.keys.set(made.name, made.public_key)
    return json(200, { keypair: { ...made, user_id: user.id } })
  }
  const key = user.keys.get(name)
  if (key === undefined) throw new Refusal(404, `Keypair ${name} not found for user ${user.id}`)
  if (request.method === 'GET') return json(200, { keypair: { name, public_key: key, user_id: user.id } })
  if (request.method !== 'DELETE') return undefined
  user.keys.delete(name)
  return empty(202)
}

function limits(cloud: Cloud, caller: TokenRecord, minor: number): Answer {
  const { project } = caller
  const used = serversUsed(cloud, project)
  return json(200, {
    limits: {
      rate: [],
      absolute: {
        maxTotalInstances: project?.instanceQuota,
        maxTotalCores: project?.coreQuota,
        maxTotalRAMSize: project?.ramQuota,
        maxServerMeta: 128,
        ...(minor < 39 && { maxImageMeta: 128 }),
        maxTotalKeypairs: 100,
        maxServerGroups: 10,
        maxServerGroupMembers: 10,
        totalRAMUsed: used.ram,
        totalCoresUsed: used.cores,
        totalInstancesUsed: used.instances,
        totalServerGroupsUsed: 0,
      },
    },
  })
}
