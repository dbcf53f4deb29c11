import type { Answer, Service, WireRequest } from './answer.ts'
import { Refusal, empty, json, keystoneFault } from './answer.ts'
import type { Cloud, CredentialRecord, ProjectRecord, TokenRecord, UserRecord } from './cloud.ts'

const MALFORMED =
  'The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.'
const NOT_AUTHENTICATED = 'The request you have made requires authentication.'
const DOMAIN = { id: 'default', name: 'Default' }

/** Keystone: version documents, tokens, and the caller's application credentials. */
export function identity(cloud: Cloud): Service {
  return {
    answer(request) {
      const { method, path } = request
      if (method === 'GET' && path === '/') return versions(cloud)
      if (method === 'GET' && (path === '/v3' || path === '/v3/')) return json(200, { version: version(cloud) })
      if (path === '/v3/auth/tokens') return tokens(cloud, request)
      if (method === 'GET' && path === '/v3/auth/catalog') {
        const caller = authenticated(cloud, request)
        return json(200, { catalog: caller.project ? catalog(cloud, caller.project) : [] })
      }
      if (method === 'GET' && path === '/v3/auth/projects') return projects(cloud, authenticated(cloud, request))
      const own = /^\/v3\/users\/([^/]+)\/application_credentials(?:\/([^/]+))?$/.exec(path)
      if (own) return credentials(cloud, request, own[1] ?? '', own[2])
      return {
        status: 404,
        headers: { 'content-type': 'text/html; charset=utf-8' },
        body: '<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.</p>\n',
      }
    },
    // Only this refusal carries the empty `identity` (lab README §6).
    refuse: ({ status, message }) =>
      keystoneFault(status, message, message.includes('cannot request a scope') ? { identity: {} } : {}),
  }
}

function version(cloud: Cloud): object {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${cloud.authUrl}/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  }
}

function versions(cloud: Cloud): Answer {
  return json(300, { versions: { values: [version(cloud)] } }, { location: `${cloud.authUrl}/` })
}

function authenticated(cloud: Cloud, request: WireRequest): TokenRecord {
  const caller = cloud.caller(request.headers['x-auth-token'])
  if (caller === undefined) throw new Refusal(401, NOT_AUTHENTICATED)
  return caller
}

function tokens(cloud: Cloud, request: WireRequest): Answer {
  if (request.method === 'POST') return issue(cloud, request)
  authenticated(cloud, request)
  const subject = request.headers['x-subject-token'] ?? ''
  if (!subject.startsWith('gAAAAA')) throw new Refusal(404, 'Could not recognize Fernet token')
  const token = cloud.caller(subject)
  if (token === undefined) throw new Refusal(404, `Could not find token: ${subject}.`)
  if (request.method === 'DELETE') {
    cloud.tokens.delete(token.id)
    return empty(204)
  }
  return json(200, { token: view(cloud, token) }, { 'x-subject-token': token.id })
}

/** A JSON object of unknown content. */
type Json = Readonly<Record<string, unknown>>

function issue(cloud: Cloud, request: WireRequest): Answer {
  const auth = required(parse(request.body), 'auth', 'request body')
  const identity = auth['identity']
  if (!isObject(identity)) throw new Refusal(400, `'identity' is a required property`)
  const methods = Array.isArray(identity['methods']) ? identity['methods'] : []
  const scope = auth['scope']
  let token: TokenRecord
  if (methods.includes('password')) token = byPassword(cloud, required(identity, 'password', 'identity'), scope)
  else if (methods.includes('application_credential'))
    token = byCredential(cloud, required(identity, 'application_credential', 'identity'), scope)
  else throw new Refusal(401, NOT_AUTHENTICATED)
  cloud.tokens.set(token.id, token)
  return json(201, { token: view(cloud, token) }, { 'x-subject-token': token.id, vary: 'X-Auth-Token' })
}

function byPassword(cloud: Cloud, password: Json, scope: unknown): TokenRecord {
  const user = knownUser(cloud, required(password, 'user', 'password'))
  const given = isObject(password['user']) ? password['user']['password'] : undefined
  if (user === undefined || given !== user.password) throw new Refusal(401, NOT_AUTHENTICATED)
  if (!isObject(scope) || !isObject(scope['project'])) return grant(cloud, user, undefined)
  const wanted = scope['project']
  // No project, no role in it, and a wrong name are one answer (lab README §6).
  const project =
    typeof wanted['id'] === 'string'
      ? cloud.projects.get(wanted['id'])
      : inDefaultDomain(wanted, 'project')
        ? [...cloud.projects.values()].find(({ name }) => name === wanted['name'])
        : undefined
  if (project === undefined || !user.roles.has(project.id)) throw new Refusal(401, NOT_AUTHENTICATED)
  return grant(cloud, user, project)
}

function byCredential(cloud: Cloud, given: Json, scope: unknown): TokenRecord {
  const credential = knownCredential(cloud, given)
  if (given['secret'] !== credential.secret || (credential.expiresAt ?? Infinity) <= cloud.agenda.now) {
    throw new Refusal(401, NOT_AUTHENTICATED)
  }
  if (scope !== undefined) {
    throw new Refusal(
      401,
      'Error authenticating with application credential: Application credentials cannot request a scope.',
    )
  }
  const user = cloud.users.get(credential.userId)
  const project = cloud.projects.get(credential.projectId)
  if (user === undefined || project === undefined) throw new Refusal(401, NOT_AUTHENTICATED)
  return grant(cloud, user, project, credential)
}

function knownCredential(cloud: Cloud, given: Json): CredentialRecord {
  const { id, name } = given
  if (typeof id === 'string') {
    const found = cloud.credentials.get(id)
    // 404 and not 401, for a deleted one as well (lab README §6).
    if (found === undefined) throw new Refusal(404, `Could not find Application Credential: ${id}.`)
    return found
  }
  const user = knownUser(cloud, required(given, 'user', 'application credential'))
  const found = [...cloud.credentials.values()].find((known) => known.userId === user?.id && known.name === name)
  if (found === undefined) throw new Refusal(401, NOT_AUTHENTICATED)
  return found
}

function knownUser(cloud: Cloud, wanted: Json): UserRecord | undefined {
  if (typeof wanted['id'] === 'string') return cloud.users.get(wanted['id'])
  if (!inDefaultDomain(wanted, 'user')) return undefined
  return [...cloud.users.values()].find(({ name }) => name === wanted['name'])
}

function inDefaultDomain(wanted: Json, owner: string): boolean {
  const domain = required(wanted, 'domain', owner)
  return domain['id'] === DOMAIN.id || domain['name'] === DOMAIN.name
}

function grant(
  cloud: Cloud,
  user: UserRecord,
  project: ProjectRecord | undefined,
  credential?: CredentialRecord,
): TokenRecord {
  const issuedAt = cloud.second()
  const role = project && user.roles.get(project.id)
  const lifetime = issuedAt + cloud.settings.tokenLifetimeSeconds * 1000
  return {
    id: `gAAAAA${cloud.noise.hex()}${cloud.noise.hex()}_-${cloud.noise.hex()}`,
    user,
    ...(project && { project }),
    ...(role && { role }),
    method: credential ? 'application_credential' : 'password',
    ...(credential && { credentialId: credential.id }),
    issuedAt,
    expiresAt: Math.min(lifetime, credential?.expiresAt ?? Infinity),
    auditId: cloud.noise.hex().slice(0, 22),
  }
}

function view(cloud: Cloud, token: TokenRecord): object {
  const { user, project, role } = token
  const credential = cloud.credentials.get(token.credentialId ?? '')
  const expires = new Date(token.expiresAt).toISOString().slice(0, 19)
  // A credential has the roles that it was given, and not those that they imply.
  const roles = role === 'reader' ? ['reader'] : credential ? ['member'] : role === 'admin' ? ['admin', 'member', 'reader'] : ['member', 'reader']
  return {
    methods: [token.method],
    user: { domain: DOMAIN, id: user.id, name: user.name, password_expires_at: null },
    audit_ids: [token.auditId],
    // It is the credential's own end that comes without fraction and Z (lab README §6).
    expires_at: credential?.expiresAt === token.expiresAt ? expires : `${expires}.000000Z`,
    issued_at: `${new Date(token.issuedAt).toISOString().slice(0, 19)}.000000Z`,
    ...(project && {
      project: { domain: DOMAIN, id: project.id, name: project.name },
      is_domain: false,
      roles: roles.map((name) => ({ id: name.padEnd(32, '0'), name })),
      catalog: catalog(cloud, project),
    }),
    ...(credential && { application_credential: { id: credential.id, name: credential.name, restricted: true } }),
  }
}

/** In another order each time: nobody may count on the first endpoint (lab README §6). */
function catalog(cloud: Cloud, project: ProjectRecord): object[] {
  const { url } = cloud
  const services: [type: string, name: string, address: string][] = [
    ['identity', 'keystone', cloud.authUrl],
    ['compute', 'nova', `${url}/compute/v2.1`],
    ['image', 'glance', `${url}/image`],
    ['volumev3', 'cinderv3', `${url}/volume/v3/${project.id}`],
  ]
  const entries = services.map(([type, name, address]) => {
    const endpoints = ['RegionOne', 'RegionTwo'].flatMap((region) =>
      ['public', 'internal', 'admin'].map((kind) => ({
        id: cloud.noise.hex(),
        interface: kind,
        region_id: region,
        url: address,
        region,
      })),
    )
    return { endpoints: shuffled(cloud, endpoints), id: name.padEnd(32, '0'), type, name }
  })
  return shuffled(cloud, entries)
}

function shuffled<Item>(cloud: Cloud, items: readonly Item[]): Item[] {
  const left = [...items]
  return items.flatMap(() => left.splice(cloud.noise.below(left.length), 1))
}

function projects(cloud: Cloud, caller: TokenRecord): Answer {
  const mine = [...caller.user.roles.keys()].flatMap((id) => cloud.projects.get(id) ?? [])
  return json(200, {
    projects: mine.map(({ id, name }) => ({
      id,
      name,
      domain_id: DOMAIN.id,
      description: '',
      enabled: true,
      parent_id: DOMAIN.id,
      is_domain: false,
      tags: [],
      options: {},
      links: { self: `${cloud.authUrl}/projects/${id}` },
    })),
    links: { next: null, self: `${cloud.authUrl}/auth/projects`, previous: null },
  })
}

function credentials(cloud: Cloud, request: WireRequest, userId: string, id: string | undefined): Answer {
  const caller = authenticated(cloud, request)
  if (caller.user.id !== userId || caller.project === undefined) {
    throw new Refusal(
      403,
      'You are not authorized to perform the requested action: identity:create_application_credential.',
    )
  }
  if (id !== undefined) {
    const known = cloud.credentials.get(id)
    if (known?.userId !== userId) throw new Refusal(404, `Could not find Application Credential: ${id}.`)
    if (request.method === 'DELETE') {
      cloud.credentials.delete(id)
      for (const token of cloud.tokens.values()) if (token.credentialId === id) token.revokedAt = cloud.agenda.now
      return empty(204)
    }
    return json(200, { application_credential: credentialView(cloud, known) })
  }
  if (request.method === 'GET') {
    const own = [...cloud.credentials.values()].filter((known) => known.userId === userId)
    return json(200, { application_credentials: own.map((known) => credentialView(cloud, known)) })
  }
  const wanted = required(parse(request.body), 'application_credential', 'request body')
  const expires = wanted['expires_at']
  const made: CredentialRecord = {
    id: cloud.ids.hex(),
    name: String(wanted['name']),
    secret: typeof wanted['secret'] === 'string' ? wanted['secret'] : cloud.ids.hex() + cloud.ids.hex(),
    userId,
    projectId: caller.project.id,
    ...(typeof expires === 'string' && { expiresAt: Date.parse(`${expires.replace(/(\.\d+)?Z?$/, '')}Z`) }),
  }
  cloud.credentials.set(made.id, made)
  return json(201, { application_credential: { ...credentialView(cloud, made), secret: made.secret } })
}

function credentialView(cloud: Cloud, { id, name, userId, projectId, expiresAt }: CredentialRecord): object {
  return {
    id,
    name,
    description: null,
    user_id: userId,
    project_id: projectId,
    system: null,
    expires_at: expiresAt === undefined ? null : `${new Date(expiresAt).toISOString().slice(0, 19)}.000000`,
    unrestricted: null,
    roles: [{ id: 'member'.padEnd(32, '0'), name: 'member', domain_id: null, description: null }],
    links: { self: `${cloud.authUrl}/application_credentials/${id}` },
  }
}

function parse(body: string): Json {
  try {
    const value: unknown = JSON.parse(body)
    return isObject(value) ? value : {}
  } catch {
    throw new Refusal(400, `Expecting to find valid JSON in request body. ${MALFORMED}`)
  }
}

function required(holder: Json, key: string, where: string): Json {
  const value = holder[key]
  if (!isObject(value)) throw new Refusal(400, `Expecting to find ${key} in ${where}. ${MALFORMED}`)
  return value
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
