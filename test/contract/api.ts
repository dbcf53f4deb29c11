import type { CloudEntry } from './harness.ts'

/** JSON of unknown shape: the assertions say what it should be. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what the wire brings is what is being tested
export type Json = Record<string, any>

/** The services, each with paths below its own endpoint: `/servers`, `/v2/images`, `/snapshots/detail`, `/auth/tokens`. */
export type TestedService = 'identity' | 'compute' | 'image' | 'block-storage'

/** What a request has beside its method and path. */
export interface RequestOptions {
  /** An object is sent as JSON, a string as it is. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** The whole header: `compute 2.45`. */
  readonly microversion?: string
  /** Another token than the client's; `null` sends none. */
  readonly token?: string | null
}

/** An answer, read to its end. */
export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The body as JSON, or an empty object. */
  readonly json: Json
}

/** A raw client with a token. */
export interface Api {
  readonly projectId: string
  readonly token: string
  /** The token's body, as Keystone gave it. */
  readonly issued: Json
  /** @param path - Below the service's endpoint, or a whole URL. */
  request(service: TestedService, method: string, path: string, options?: RequestOptions): Promise<Reply>
  patch(imageId: string, operations: readonly object[]): Promise<Reply>
  action(serverId: string, body: object, microversion?: string): Promise<Reply>
}

const TYPES = { compute: 'compute', image: 'image', 'block-storage': 'volumev3' } as const

/** One HTTP request, not following redirects. */
export async function send(url: string, method: string, options: RequestOptions = {}): Promise<Reply> {
  const { body, microversion, token } = options
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const answer = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      ...(text !== undefined && { 'content-type': 'application/json' }),
      ...(microversion !== undefined && { 'openstack-api-version': microversion }),
      ...(typeof token === 'string' && { 'x-auth-token': token }),
      ...options.headers,
    },
    ...(text !== undefined && { body: text }),
  })
  const read = await answer.text()
  const isJson = (answer.headers.get('content-type') ?? '').includes('json') && read !== ''
  return { status: answer.status, headers: answer.headers, text: read, json: isJson ? JSON.parse(read) : {} }
}

/** The body of `POST /auth/tokens` for an entry of clouds.yaml. */
export function authBody({ auth }: CloudEntry, scoped = true): Json {
  if (auth['application_credential_id'] !== undefined) {
    const credential = { id: auth['application_credential_id'], secret: auth['application_credential_secret'] }
    return { auth: { identity: { methods: ['application_credential'], application_credential: credential } } }
  }
  const user = { name: auth['username'], password: auth['password'], domain: { name: auth['user_domain_name'] } }
  const project = { name: auth['project_name'], domain: { name: auth['project_domain_name'] } }
  return {
    auth: {
      identity: { methods: ['password'], password: { user } },
      scope: scoped ? { project } : 'unscoped',
    },
  }
}

/** Logs in. */
export async function connect(entry: CloudEntry): Promise<Api> {
  const authUrl = entry.auth['auth_url'] ?? ''
  const login = await send(`${authUrl}/auth/tokens`, 'POST', { body: authBody(entry) })
  if (login.status !== 201) throw new Error(`login: ${login.status} ${login.text}`)
  const token = login.headers.get('x-subject-token') ?? ''
  const issued: Json = login.json['token']
  const endpoint = (service: TestedService): string => {
    if (service === 'identity') return authUrl
    const services: Json[] = issued['catalog']
    const endpoints: Json[] = services.find(({ type }) => type === TYPES[service])?.['endpoints'] ?? []
    return endpoints.find((each) => each['interface'] === 'public' && each['region'] === entry.region_name)?.['url']
  }
  const request: Api['request'] = (service, method, path, options = {}) =>
    send(path.startsWith('http') ? path : endpoint(service) + path, method, { token, ...options })
  return {
    projectId: issued['project']['id'],
    token,
    issued,
    request,
    patch: (imageId, operations) =>
      request('image', 'PATCH', `/v2/images/${imageId}`, {
        body: operations,
        headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
      }),
    action: (serverId, body, microversion) =>
      request('compute', 'POST', `/servers/${serverId}/action`, {
        body,
        ...(microversion !== undefined && { microversion: `compute ${microversion}` }),
      }),
  }
}
