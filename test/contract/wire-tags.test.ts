import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Api, Json, Reply } from './api.ts'
import { cloudUnderTest } from './harness.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()

const NOBODY = '11111111-1111-1111-1111-111111111111'

let server: string
beforeAll(async () => {
  server = await cloud.boot({ label: 'tagged' })
})

/** A request below `/servers/ID`, with tags unless a microversion is given. */
const ask = (method: string, path: string, { body, microversion = '2.26', id = server, who = api }: { body?: unknown; microversion?: string; id?: string; who?: Api } = {}): Promise<Reply> =>
  who.request('compute', method, `/servers/${id}${path}`, { microversion: `compute ${microversion}`, ...(body !== undefined && { body }) })
const put = (tag: string): Promise<Reply> => ask('PUT', `/tags/${encodeURIComponent(tag)}`)
const tags = async (): Promise<string[]> => (await ask('GET', '/tags')).json['tags'].toSorted()
const refused = ({ status, json }: Reply): unknown[] => [status, Object.values(json)[0]?.['message']]

beforeEach(async () => {
  expect((await ask('DELETE', '/tags')).status).toBe(204)
})

describe('tags', () => {
  test('one is put, put again, looked for, and taken away', async () => {
    const first = await put('daily')
    expect([first.status, first.text]).toEqual([201, ''])
    expect(first.headers.get('location')).toMatch(new RegExp(`/servers/${server}/tags/daily$`))
    expect((await put('daily')).status).toBe(204)
    expect((await put('web tier: "a"')).status).toBe(201)
    expect(await tags()).toEqual(['daily', 'web tier: "a"'])
    expect((await ask('GET', '/tags/daily')).status).toBe(204)
    expect((await ask('DELETE', '/tags/daily')).status).toBe(204)
    expect(refused(await ask('GET', '/tags/daily'))).toEqual([404, `Server ${server} has no tag 'daily'`])
    expect(refused(await ask('DELETE', '/tags/daily'))).toEqual([404, `Instance ${server} has no tag 'daily'`])
    expect(await tags()).toEqual(['web tier: "a"'])
  })

  test('all are replaced, each one once, and taken away', async () => {
    await put('old')
    const reply = await ask('PUT', '/tags', { body: { tags: ['b', 'a', 'b'] } })
    expect([reply.status, reply.json['tags'].toSorted()]).toEqual([200, ['a', 'b']])
    expect(await tags()).toEqual(['a', 'b'])
    expect((await ask('DELETE', '/tags')).status).toBe(204)
    expect((await ask('GET', '/tags')).json).toEqual({ tags: [] })
  })

  test('one that is not ASCII is mangled in an address, and not in a list', async () => {
    expect((await put('café')).status).toBe(201)
    expect(await tags()).toEqual(['cafÃ©'])
    expect((await ask('GET', `/tags/${encodeURIComponent('café')}`)).status).toBe(204)
    expect((await ask('PUT', '/tags', { body: { tags: ['café ✓'] } })).json).toEqual({ tags: ['café ✓'] })
    expect((await ask('PUT', '/tags', { body: { tags: ['😀'] } })).status).toBe(500)
    expect(await tags()).toEqual(['café ✓'])
  })

  test('one that differs in case alone, or in accents, is the same: the first stays, and two at once are a 500', async () => {
    await put('Daily')
    expect((await put('daily')).status).toBe(201)
    expect(await tags()).toEqual(['Daily'])
    expect((await ask('GET', '/tags/DAILY')).status).toBe(204)
    const listed: Json[] = (await api.request('compute', 'GET', '/servers?tags=daily', { microversion: 'compute 2.26' })).json['servers']
    expect(listed.some(({ id }) => id === server)).toBe(true)
    for (const two of [['daily', 'DAILY'], ['cafe', 'café'], ['a', 'a ']]) {
      const reply = await ask('PUT', '/tags', { body: { tags: two } })
      expect(refused(reply)).toEqual([500, expect.stringContaining('DBDuplicateEntry')])
    }
    expect((await ask('DELETE', '/tags/daily')).status).toBe(204)
    expect(await tags()).toEqual([])
    await ask('PUT', '/tags', { body: { tags: ['B', 'c', 'a'] } })
    expect((await ask('GET', '/tags')).json).toEqual({ tags: ['a', 'B', 'c'] })
    // A list takes the place of what was there, so that its case counts.
    expect((await ask('PUT', '/tags', { body: { tags: ['C'] } })).json).toEqual({ tags: ['C'] })
  })

  test('a server shows them from 2.26 on, in lists as well; below there are none to ask for', async () => {
    await ask('PUT', '/tags', { body: { tags: ['daily', 'web'] } })
    const shown = async (microversion: string): Promise<unknown[]> => {
      const one = (await ask('GET', '', { microversion })).json['server']
      const all: Json[] = (await api.request('compute', 'GET', '/servers/detail', { microversion: `compute ${microversion}` })).json['servers']
      return [one['tags']?.toSorted(), all.find(({ id }) => id === server)?.['tags']?.toSorted()]
    }
    expect(await shown('2.26')).toEqual([['daily', 'web'], ['daily', 'web']])
    expect(await shown('2.25')).toEqual([undefined, undefined])
    for (const [method, path] of [['GET', '/tags'], ['PUT', '/tags'], ['DELETE', '/tags'], ['GET', '/tags/daily'], ['PUT', '/tags/daily'], ['DELETE', '/tags/daily']] as const) {
      const body = method === 'PUT' && path === '/tags' ? { tags: [] } : undefined
      expect(refused(await ask(method, path, { microversion: '2.25', body }))).toEqual([404, 'The resource could not be found.'])
    }
  })

  test('from 2.52 on a server is made with tags, below they are refused', async () => {
    const body = { server: { name: cloud.name('born'), imageRef: cloud.baseImage, flavorRef: 'lab.tiny', networks: 'none', tags: ['b', 'a'] } }
    const early = await api.request('compute', 'POST', '/servers', { body, microversion: 'compute 2.51' })
    expect([early.status, early.json['badRequest']['message']]).toEqual([400, expect.stringContaining("Additional properties are not allowed ('tags' was unexpected)")])
    const { status, json } = await api.request('compute', 'POST', '/servers', { body, microversion: 'compute 2.52' })
    expect(status).toBe(202)
    const id: string = json['server']['id']
    await cloud.untilServer(id, 'ACTIVE')
    expect((await ask('GET', '/tags', { id })).json['tags'].toSorted()).toEqual(['a', 'b'])
    await cloud.deleteServer(id)
  })

  test.each<[what: string, filter: string, found: boolean]>([
    ['all of them', 'tags=daily,web', true],
    ['one that is missing', 'tags=daily,db', false],
    ['any of them', 'tags-any=db,web', true],
    ['any of others', 'tags-any=db,mail', false],
    ['not all of them', 'not-tags=daily,web', false],
    ['not both', 'not-tags=daily,db', true],
    ['none of them', 'not-tags-any=db,web', false],
    ['none of others', 'not-tags-any=db,mail', true],
    ['the last filter', 'tags=db&tags=web', true],
  ])('servers are listed by tags: %s; below 2.26 the filter is ignored', async (_what, filter, found) => {
    await ask('PUT', '/tags', { body: { tags: ['daily', 'web'] } })
    const listed = async (microversion: string): Promise<boolean> => {
      const { status, json } = await api.request('compute', 'GET', `/servers?${filter}`, { microversion: `compute ${microversion}` })
      expect(status).toBe(200)
      return json['servers'].some(({ id }: Json) => id === server)
    }
    expect(await listed('2.26')).toBe(found)
    expect(await listed('2.25')).toBe(true)
  })
})

describe('tags are refused', () => {
  const TAG = "It must be a non empty string without characters '/' and ','. Validation error message:"

  test('one with a comma, one of 61 characters, one that is a path', async () => {
    const long = 'x'.repeat(61)
    expect(refused(await put('a,b'))).toEqual([400, `Tag 'a,b' is invalid. ${TAG} 'a,b' does not match '^[^,/]*$'`])
    expect(refused(await put(long))).toEqual([400, `Tag '${long}' is invalid. ${TAG} '${long}' is too long`])
    expect((await put('a/b')).status).toBe(404)
    expect((await put('x'.repeat(60))).status).toBe(201)
    expect(await tags()).toEqual(['x'.repeat(60)])
  })

  test.each<[what: string, body: unknown, message: string]>([
    ['nothing', '', "None is not of type 'object'"],
    ['a list alone', [], "[] is not of type 'object'"],
    ['no list', {}, "'tags' is a required property"],
    ['more than a list', { tags: [], more: 1 }, "Additional properties are not allowed ('more' was unexpected)"],
    ['a word for a list', { tags: 'a' }, "Invalid input for field/attribute tags. Value: a. 'a' is not of type 'array'"],
    ['a number', { tags: [5] }, "Invalid input for field/attribute 0. Value: 5. 5 is not of type 'string'"],
    ['an empty one', { tags: ['a', ''] }, "Invalid input for field/attribute 1. Value: . '' is too short"],
    ['one with a comma', { tags: ['a,b'] }, "Invalid input for field/attribute 0. Value: a,b. 'a,b' does not match '^[^,/]*$'"],
  ])('a new list: %s', async (_what, body, message) => {
    await put('kept')
    expect(refused(await ask('PUT', '/tags', { body }))).toEqual([400, message])
    expect(await tags()).toEqual(['kept'])
  })

  test('a body for one tag, and a filter without one', async () => {
    expect(refused(await ask('PUT', '/tags/a', { body: {} }))).toEqual([400, "{} is not of type 'null'"])
    expect((await ask('PUT', '/tags/a', { body: 'null' })).status).toBe(201)
    expect((await ask('PUT', '/tags/')).status).toBe(404)
    expect((await ask('POST', '/tags', { body: { tags: [] } })).status).toBe(404)
    const reply = await api.request('compute', 'GET', '/servers?tags=', { microversion: 'compute 2.26' })
    expect(refused(reply)).toEqual([400, "Invalid input for query parameters tags. Value: . '' is not a 'regex'"])
  })

  test('more than 50', async () => {
    const many = (count: number) => ({ tags: Array.from({ length: count }, (_, n) => `t${n}`) })
    expect((await ask('PUT', '/tags', { body: many(51) })).status).toBe(400)
    expect((await ask('PUT', '/tags', { body: many(50) })).status).toBe(200)
    const full = [400, 'The number of tags exceeded the per-server limit 50']
    expect(refused(await put('t50'))).toEqual(full)
    // One that is there already as well: they are counted first.
    expect(refused(await put('t1'))).toEqual(full)
  })

  test('a server that is not there, and one of another project', async () => {
    const missing = [404, `Instance ${NOBODY} has no mapping to a cell.`]
    expect(refused(await ask('GET', '/tags', { id: NOBODY }))).toEqual(missing)
    expect(refused(await ask('PUT', '/tags/a', { id: NOBODY }))).toEqual(missing)
    if (!cloud.has('beta')) return
    const who = await cloud.api('beta')
    const forbidden = (policy: string) => [403, `Policy doesn't allow os_compute_api:os-server-tags:${policy} to be performed.`]
    expect(refused(await ask('GET', '/tags', { who }))).toEqual(forbidden('index'))
    expect(refused(await ask('PUT', '/tags/a', { who }))).toEqual(forbidden('update'))
    expect(refused(await ask('PUT', '/tags', { who, body: { tags: [] } }))).toEqual(forbidden('update_all'))
    expect(refused(await ask('DELETE', '/tags', { who }))).toEqual(forbidden('delete_all'))
  })

  test('while a server is in no state for them, and not while it is locked or busy', async () => {
    const other = await cloud.boot({ label: 'states', metadata: { lab_delay: '3' } })
    const image = await cloud.snapshot(other, 'tagged')
    expect((await ask('PUT', '/tags/busy', { id: other })).status).toBe(201)
    await cloud.finished(image, other)
    await api.action(other, { lock: null })
    expect((await ask('PUT', '/tags/locked', { id: other })).status).toBe(201)
    await api.action(other, { unlock: null })
    await api.action(other, { shelve: null })
    await cloud.untilServer(other, 'SHELVED_OFFLOADED')
    for (const [method, path, action] of [['PUT', '/tags/late', 'update tag'], ['PUT', '/tags', 'update tags'], ['DELETE', '/tags/busy', 'delete tag'], ['DELETE', '/tags', 'delete tags']] as const) {
      const body = path === '/tags' && method === 'PUT' ? { tags: [] } : undefined
      expect(refused(await ask(method, path, { id: other, body }))).toEqual([409, `Cannot '${action}' instance ${other} while it is in vm_state shelved_offloaded`])
    }
    expect((await ask('GET', '/tags', { id: other })).json['tags'].toSorted()).toEqual(['busy', 'locked'])
  })
})
