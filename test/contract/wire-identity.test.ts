import { describe, expect, test } from 'vitest'
import type { Json } from './api.ts'
import { authBody, connect, send } from './api.ts'
import { cloudUnderTest } from './harness.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()
const entry = cloud.entry()
const authUrl = entry.auth['auth_url'] ?? ''
const tokens = (body: unknown) => send(`${authUrl}/auth/tokens`, 'POST', { body })

const UNAUTHORIZED = {
  error: { code: 401, message: 'The request you have made requires authentication.', title: 'Unauthorized' },
}

describe('tokens by password', () => {
  test('a scoped token names its project and roles, and ends at a time with fraction and Z', async () => {
    const reply = await tokens(authBody(entry))
    const token: Json = reply.json['token']

    expect(reply.status).toBe(201)
    expect(reply.headers.get('x-subject-token')).toMatch(/^\S{20,}$/)
    expect(reply.headers.get('x-openstack-request-id')).toMatch(/^req-[0-9a-f-]{36}$/)
    expect(token['methods']).toEqual(['password'])
    expect(token['project']['name']).toBe(entry.auth['project_name'])
    expect(token['roles'].map(({ name }: Json) => name).toSorted()).toEqual(['member', 'reader'])
    expect(token['expires_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000Z$/)
    expect(Date.parse(token['expires_at'])).toBeGreaterThan(Date.parse(token['issued_at']))
  })

  test('case 57: each service has three interfaces in each region', async () => {
    const services: Json[] = api.issued['catalog']
    for (const type of ['identity', 'compute', 'image', 'volumev3']) {
      const endpoints: Json[] = services.find((service) => service['type'] === type)?.['endpoints'] ?? []
      const kinds = endpoints.map((endpoint) => `${endpoint['region']} ${endpoint['interface']}`).toSorted()
      expect(kinds).toEqual(
        ['RegionOne', 'RegionTwo'].flatMap((region) => ['admin', 'internal', 'public'].map((kind) => `${region} ${kind}`)),
      )
      for (const endpoint of endpoints) expect(endpoint['region_id']).toBe(endpoint['region'])
    }
  })

  test("case 58: Glance's endpoint has no version, nova's has, Cinder's ends in the project", () => {
    const url = (type: string): string =>
      api.issued['catalog'].find((service: Json) => service['type'] === type)['endpoints'][0]['url']
    expect(url('image')).not.toMatch(/\/v\d|\/$/)
    expect(url('compute')).toMatch(/\/v2\.1$/)
    expect(url('volumev3')).toMatch(new RegExp(`/v3/${api.projectId}$`))
  })

  test('a project may be named by its id as well', async () => {
    const body = authBody(entry)
    body['auth']['scope'] = { project: { id: api.projectId } }
    expect((await tokens(body)).json['token']['project']['id']).toBe(api.projectId)
  })

  test('case 53: no scope and no default project is a 201 without project or catalog', async () => {
    const reply = await tokens(authBody(entry, false))
    const token = reply.headers.get('x-subject-token')

    expect(reply.status).toBe(201)
    expect(Object.keys(reply.json['token'])).not.toContain('catalog')
    expect(Object.keys(reply.json['token'])).not.toContain('project')
    const servers = await api.request('compute', 'GET', '/servers', { token })
    expect([servers.status, servers.json]).toEqual([200, { servers: [] }])
    const images = await api.request('image', 'GET', '/v2/images?limit=1000', { token })
    expect(images.status).toBe(200)
    for (const image of images.json['images']) expect(image['visibility']).toBe('public')
  })

  test.each<[what: string, change: (body: Json) => void]>([
    ['a wrong password', (body) => (body['auth']['identity']['password']['user']['password'] = 'wrong')],
    ['an unknown user', (body) => (body['auth']['identity']['password']['user']['name'] = 'nobody-here')],
    ['an unknown project', (body) => (body['auth']['scope']['project']['name'] = 'no-such-project')],
    ['a project without a role in it', (body) => (body['auth']['scope']['project']['name'] = 'service')],
    ['an unknown domain', (body) => (body['auth']['scope']['project']['domain'] = { name: 'Elsewhere' })],
  ])('%s: one and the same 401', async (_what, change) => {
    const body = authBody(entry)
    change(body)
    const reply = await tokens(body)

    expect(reply.status).toBe(401)
    expect(reply.json).toEqual(UNAUTHORIZED)
    expect(reply.headers.get('www-authenticate')).toBe(`Keystone uri="${authUrl}"`)
  })

  test.each<[what: string, change: (body: Json) => void, message: string]>([
    ['a project without its domain', (body) => delete body['auth']['scope']['project']['domain'], 'domain in project'],
    ['a user without its domain', (body) => delete body['auth']['identity']['password']['user']['domain'], 'domain in user'],
    ['no password section', (body) => delete body['auth']['identity']['password'], 'password in identity'],
    ['no auth', (body) => delete body['auth'], 'auth in request body'],
  ])('%s: 400', async (_what, change, missing) => {
    const body = authBody(entry)
    change(body)
    const reply = await tokens(body)

    expect(reply.status).toBe(400)
    expect(reply.json['error']['message']).toBe(
      `Expecting to find ${missing}. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.`,
    )
  })

  test('broken JSON: 400', async () => {
    expect((await tokens('{bad')).json['error']['message']).toMatch(/^Expecting to find valid JSON in request body\./)
  })
})

describe.skipIf(!cloud.has('alpha-appcred'))('application credentials', () => {
  const given = cloud.has('alpha-appcred') ? cloud.entry('alpha-appcred').auth : {}
  const id = given['application_credential_id']
  const secret = given['application_credential_secret']
  const login = (credential: object, scope?: object) =>
    tokens({
      auth: {
        identity: { methods: ['application_credential'], application_credential: credential },
        ...(scope && { scope }),
      },
    })

  test('case 54: no scope is needed, the project is its own', async () => {
    const reply = await login({ id, secret })
    expect(reply.status).toBe(201)
    expect(reply.json['token']['methods']).toEqual(['application_credential'])
    expect(reply.json['token']['project']['id']).toBe(api.projectId)
    expect(reply.json['token']['catalog'].length).toBeGreaterThan(3)
  })

  test('case 54: a scope is refused with 401, even its own', async () => {
    const reply = await login({ id, secret }, { project: { id: api.projectId } })
    expect(reply.status).toBe(401)
    expect(reply.json['error']['message']).toMatch(/Application credentials cannot request a scope\.$/)
  })

  test('case 54: a wrong secret is 401, an unknown id 404', async () => {
    const wrong = await login({ id, secret: 'wrong' })
    expect([wrong.status, wrong.json]).toEqual([401, UNAUTHORIZED])
    const unknown = await login({ id: 'f'.repeat(32), secret })
    expect(unknown.status).toBe(404)
    expect(unknown.json['error']['message']).toBe(`Could not find Application Credential: ${'f'.repeat(32)}.`)
  })

  test('by name, with the user', async () => {
    const user = { name: entry.auth['username'], domain: { name: entry.auth['user_domain_name'] } }
    expect((await login({ name: 'lab', user, secret })).status).toBe(201)
    expect((await login({ name: 'no-such', user, secret })).status).toBe(401)
    expect((await login({ name: 'lab', secret })).status).toBe(400)
  })

  /** One of our own, which ends in ten minutes: before any token would. */
  async function shortLived(): Promise<Json> {
    const made = await api.request('identity', 'POST', `/users/${api.issued['user']['id']}/application_credentials`, {
      body: {
        application_credential: {
          name: cloud.name('appcred'),
          secret: 'short-lived',
          roles: [{ name: 'member' }],
          expires_at: new Date(Date.now() + 600_000).toISOString().slice(0, 19),
        },
      },
    })
    expect(made.status).toBe(201)
    return made.json['application_credential']
  }

  test('case 56: a token that ends with its credential says so without fraction and Z', async () => {
    const made = await shortLived()
    const reply = await login({ id: made['id'], secret: made['secret'] })
    await api.request('identity', 'DELETE', `/users/${api.issued['user']['id']}/application_credentials/${made['id']}`)

    const expires: string = reply.json['token']['expires_at']
    expect(expires).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
    expect(`${expires}.000000`).toBe(made['expires_at'])
  })

  test('case 55: the token of a deleted credential is good at nova still, not at Glance', async () => {
    const made = await shortLived()
    const path = `/users/${api.issued['user']['id']}/application_credentials/${made['id']}`
    const reply = await login({ id: made['id'], secret: made['secret'] })
    const token = reply.headers.get('x-subject-token')
    expect((await api.request('compute', 'GET', '/servers', { token })).status).toBe(200)

    expect((await api.request('identity', 'DELETE', path)).status).toBe(204)

    expect((await api.request('compute', 'GET', '/servers', { token })).status).toBe(200)
    expect((await api.request('image', 'GET', '/v2/images', { token })).status).toBe(401)
    expect((await login({ id: made['id'], secret: made['secret'] })).status).toBe(404)
    expect((await api.request('identity', 'DELETE', path)).status).toBe(404)
  })
})

describe('tokens that are no good', () => {
  test.each([
    ['compute', '/servers'],
    ['block-storage', '/snapshots'],
  ] as const)('%s says 401 in JSON, under the key error', async (service, path) => {
    for (const token of ['gAAAAAnonsense', null]) {
      const reply = await api.request(service, 'GET', path, { token })
      expect(reply.status).toBe(401)
      expect(reply.json).toEqual(UNAUTHORIZED)
      expect(reply.headers.get('www-authenticate')).toBe(`Keystone uri="${authUrl}"`)
    }
  })

  test('case 59: Glance says 401 in HTML', async () => {
    const reply = await api.request('image', 'GET', '/v2/images', { token: 'gAAAAAnonsense' })
    expect(reply.status).toBe(401)
    expect(reply.headers.get('content-type')).toBe('text/html; charset=UTF-8')
    expect(reply.text).toMatch(/^<html>\n <head>\n {2}<title>401 Unauthorized<\/title>/)
  })

  test('a revoked token is refused', async () => {
    const other = await connect(entry)
    const revoked = await api.request('identity', 'DELETE', '/auth/tokens', { headers: { 'x-subject-token': other.token } })
    expect(revoked.status).toBe(204)
    expect((await api.request('image', 'GET', '/v2/images', { token: other.token })).status).toBe(401)
    expect((await api.request('identity', 'GET', '/auth/projects', { token: other.token })).status).toBe(401)
  })
})

describe('version documents need no token', () => {
  test('Keystone', async () => {
    const root = await send(authUrl.replace(/\/v3$/, '/'), 'GET')
    expect([root.status, root.json['versions']['values'][0]['links'][0]['href']]).toEqual([300, `${authUrl}/`])
    const v3 = await send(authUrl, 'GET')
    expect([v3.status, v3.json['version']['status']]).toEqual([200, 'stable'])
  })

  test('nova and Glance', async () => {
    const nova = await api.request('compute', 'GET', '/', { token: null })
    expect(nova.json['version']).toMatchObject({ id: 'v2.1', status: 'CURRENT', min_version: '2.1', version: '2.93' })
    const url: string = api.issued['catalog'].find(({ type }: Json) => type === 'image')['endpoints'][0]['url']
    const glance = await send(`${url}/`, 'GET')
    expect([glance.status, glance.json['versions'][0]['status']]).toEqual([300, 'CURRENT'])
  })
})
