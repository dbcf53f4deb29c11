import { beforeAll, describe, expect, test } from 'vitest'
import type { Json, Reply } from './api.ts'
import { cloudUnderTest } from './harness.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()

const NOBODY = '11111111-1111-1111-1111-111111111111'
const OVER_LIMIT =
  "Unexpected API Error. Please report this at http://bugs.launchpad.net/nova/ and attach the Nova API log if possible.\n<class 'glanceclient.exc.HTTPOverLimit'>"
const TYPE_ERROR = OVER_LIMIT.replace('glanceclient.exc.HTTPOverLimit', 'TypeError')

const get = (path: string, microversion = '2.1'): Promise<Reply> =>
  api.request('compute', 'GET', path, { microversion: `compute ${microversion}` })
const createImage = (id: string, createImage: object, microversion?: string): Promise<Reply> =>
  api.action(id, { createImage }, microversion)

/** The one server of this file: what is done to it is undone, or waited for. */
let server: string
beforeAll(async () => {
  server = await cloud.boot({ label: 'web-1' })
})

/** Has the server's own metadata, which the lab reads its knobs from, be so until the work is done. */
async function withMetadata<Result>(metadata: Json, work: () => Promise<Result>): Promise<Result> {
  await api.request('compute', 'PUT', `/servers/${server}/metadata`, { body: { metadata } })
  try {
    return await work()
  } finally {
    await api.request('compute', 'PUT', `/servers/${server}/metadata`, { body: { metadata: {} } })
  }
}

/** How an image goes from state to state until it is active or gone. One caught in mid-deletion counts as gone. */
async function progress(image: string): Promise<string[]> {
  const states: string[] = []
  await cloud.until(
    async () => {
      const status: string = (await cloud.image(image))?.['status'] ?? 'gone'
      const state = status === 'deleted' ? 'gone' : status
      if (states.at(-1) !== state) states.push(state)
      return state
    },
    (state) => state === 'active' || state === 'gone',
  )
  return states
}

const latestAction = async (): Promise<Json> => (await get(`/servers/${server}/os-instance-actions`)).json['instanceActions'][0]

describe('listing', () => {
  test('case 61: name is an unanchored pattern without case', async () => {
    const found = async (pattern: string): Promise<boolean> => {
      const reply = await get(`/servers/detail?name=${encodeURIComponent(pattern)}`)
      return reply.json['servers'].some(({ id }: Json) => id === server)
    }
    const name = cloud.name('web-1')
    expect(await found(name.slice(2, -2))).toBe(true)
    expect(await found(name.toUpperCase())).toBe(true)
    expect(await found(`^${name.replace('-1', '.1')}$`)).toBe(true)
    expect(await found(`^${name.slice(1)}`)).toBe(false)
    const invalid = await get('/servers/detail?name=(')
    expect([invalid.status, invalid.json]).toEqual([400, { badRequest: { code: 400, message: "Invalid input for query parameters name. Value: (. '(' is not a 'regex'" } }])
  })

  test('case 61: unknown filters are ignored, from 2.75 refused', async () => {
    const all = (await get('/servers')).json['servers'].length
    expect((await get('/servers?foo=1')).json['servers']).toHaveLength(all)
    expect((await get('/servers?project_id=other')).json['servers']).toHaveLength(all)
    const refused = await get('/servers?foo=1', '2.75')
    expect([refused.status, refused.json['badRequest']['message']]).toEqual([400, "'foo' does not match any of the regexes: '^_'"])
  })

  test('an unknown status is nobody, from 2.38 refused', async () => {
    expect((await get('/servers?status=BOGUS')).json).toEqual({ servers: [] })
    expect((await get('/servers?status=BOGUS', '2.38')).json['badRequest']['message']).toBe('Invalid status value')
    expect((await get('/servers?status=active')).json['servers'].some(({ id }: Json) => id === server)).toBe(true)
  })

  test('case 43: a full page links to the next, with the filters', async () => {
    const second = await cloud.boot({ label: 'web-2' })
    const page = await get(`/servers/detail?limit=1&name=${cloud.name('web')}`)
    expect(page.json['servers'].map(({ id }: Json) => id)).toEqual([second])
    const [link] = page.json['servers_links']
    expect(link['rel']).toBe('next')
    expect(link['href']).toMatch(new RegExp(`/servers/detail\\?limit=1&name=${cloud.name('web')}&marker=${second}$`))

    const next = await api.request('compute', 'GET', link['href'])
    expect(next.json['servers'].map(({ id }: Json) => id)).toEqual([server])
    const last = await api.request('compute', 'GET', next.json['servers_links'][0]['href'])
    expect(last.json).toEqual({ servers: [] })
    expect((await get('/servers?limit=0')).json).toEqual({ servers: [] })
    await cloud.deleteServer(second)
  })

  test.each([
    ['marker=nope', 'marker [nope] not found'],
    ['limit=x', "Invalid input for query parameters limit. Value: x. 'x' does not match '^[0-9]*$'"],
    ['limit=-1', "Invalid input for query parameters limit. Value: -1. '-1' does not match '^[0-9]*$'"],
  ])('?%s: 400', async (query, message) => {
    const reply = await get(`/servers/detail?${query}`)
    expect([reply.status, reply.json]).toEqual([400, { badRequest: { code: 400, message } }])
  })

  test('case 62: all_tenants is not for members', async () => {
    const reply = await get('/servers/detail?all_tenants=1')
    expect([reply.status, reply.json['forbidden']['message']]).toEqual([403, "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed."])
  })

  test('what a microversion shows', async () => {
    const old = (await get(`/servers/${server}`)).json['server']
    expect(old).toMatchObject({ id: server, name: cloud.name('web-1'), status: 'ACTIVE', tenant_id: api.projectId, image: { id: cloud.baseImage }, 'OS-EXT-STS:vm_state': 'active', 'OS-EXT-STS:task_state': null, 'os-extended-volumes:volumes_attached': [] })
    expect(old).not.toHaveProperty('locked')
    expect(old['flavor']['id']).toBe('lab.tiny')
    const now = (await get(`/servers/${server}`, '2.93')).json['server']
    expect(now).toMatchObject({ locked: false, description: null, tags: [], server_groups: [], flavor: { original_name: 'lab.tiny', disk: 1 } })
    expect((await get('/servers/detail?limit=1', '2.93')).json['servers'][0]).not.toHaveProperty('server_groups')
  })
})

describe('microversions', () => {
  test('one beyond the maximum: 406 under computeFault', async () => {
    const reply = await get('/servers', '2.999')
    expect([reply.status, reply.json]).toEqual([406, { computeFault: { code: 406, message: 'Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is 2.93.' } }])
  })

  test('the one spoken is in the answer; latest, the old header, and those of other services are understood', async () => {
    const spoken = async (headers: Record<string, string>): Promise<string | null> =>
      (await api.request('compute', 'GET', '/servers?limit=0', { headers })).headers.get('openstack-api-version')
    expect(await spoken({ 'openstack-api-version': 'compute latest' })).toBe('compute 2.93')
    expect(await spoken({ 'x-openstack-nova-api-version': '2.60' })).toBe('compute 2.60')
    expect(await spoken({ 'openstack-api-version': 'volume 3.0' })).toBe('compute 2.1')
    expect((await get('/servers', 'abc')).json['badRequest']['message']).toBe('API Version String abc is of invalid format. Must be of format MajorNum.MinorNum.')
  })
})

describe('what is not there', () => {
  test('servers: by an unknown id, by name', async () => {
    for (const id of [NOBODY, cloud.name('web-1')]) {
      const missing = { itemNotFound: { code: 404, message: `Instance ${id} could not be found.` } }
      expect((await get(`/servers/${id}`)).json).toEqual(missing)
      expect((await createImage(id, { name: 'x' })).json).toEqual(missing)
      expect((await api.request('compute', 'DELETE', `/servers/${id}`)).json).toEqual(missing)
    }
  })

  test('actions and their bodies', async () => {
    const message = async (body: unknown): Promise<string> =>
      (await api.request('compute', 'POST', `/servers/${server}/action`, { body })).json['badRequest']['message']
    expect(await message({ nosuch: null })).toBe('There is no such action: nosuch')
    expect(await message({})).toBe('Malformed request body')
    expect(await message('{bad')).toBe('Malformed request body')
    expect((await get('/nosuch')).headers.get('content-type')).toBe('text/html; charset=UTF-8')
  })
})

describe('createImage refuses', () => {
  const long = 'x'.repeat(256)
  const NAME = "An invalid 'name' value was provided. The name must be: printable characters. Can not start or end with whitespace."

  test.each<[what: string, order: object, message: string]>([
    ['no name', {}, "Invalid input for field/attribute createImage. Value: {}. 'name' is a required property"],
    ['an empty name', { name: '' }, "Invalid input for field/attribute name. Value: . '' is too short"],
    ['a number for a name', { name: 5 }, "Invalid input for field/attribute name. Value: 5. 5 is not of type 'string'"],
    ['a name of 256', { name: long }, `Invalid input for field/attribute name. Value: ${long}. '${long}' is too long`],
    ['an emoji in the name', { name: 'e😀' }, NAME],
    ['a tab in the name', { name: 't\tb' }, NAME],
    ['a leading space', { name: ' x' }, NAME],
    ['a trailing space', { name: 'x ' }, NAME],
    ['a slash in a key', { name: 'x', metadata: { 'a/b': '1' } }, "Invalid input for field/attribute metadata. Value: {'a/b': '1'}. 'a/b' does not match any of the regexes: '^[a-zA-Z0-9-_:. ]{1,255}$'"],
    ['a letter beyond ASCII in a key', { name: 'x', metadata: { é: '1' } }, "Invalid input for field/attribute metadata. Value: {'é': '1'}. 'é' does not match any of the regexes: '^[a-zA-Z0-9-_:. ]{1,255}$'"],
    ['an empty key', { name: 'x', metadata: { '': '1' } }, "Invalid input for field/attribute metadata. Value: {'': '1'}. '' does not match any of the regexes: '^[a-zA-Z0-9-_:. ]{1,255}$'"],
    ['a value of 256', { name: 'x', metadata: { k: long } }, `Invalid input for field/attribute k. Value: ${long}. '${long}' is too long`],
    ['a number for a value', { name: 'x', metadata: { k: 5 } }, "Invalid input for field/attribute k. Value: 5. 5 is not of type 'string'"],
    ['null for a value', { name: 'x', metadata: { k: null } }, "Invalid input for field/attribute k. Value: None. None is not of type 'string'"],
    ['an emoji in a value', { name: 'x', metadata: { k2: '😀' } }, 'HTTP 400 Bad Request: K2 can&#x27;t contain 4 byte unicode characters.'],
    ['a list for metadata', { name: 'x', metadata: [] }, "Invalid input for field/attribute metadata. Value: []. [] is not of type 'object'"],
    ['anything more', { name: 'x', extra: 1 }, "Invalid input for field/attribute createImage. Value: {'name': 'x', 'extra': 1}. Additional properties are not allowed ('extra' was unexpected)"],
  ])('case 19 and 21: %s, with 400', async (_what, order, message) => {
    const reply = await createImage(server, order)
    expect([reply.status, reply.json]).toEqual([400, { badRequest: { code: 400, message } }])
  })

  test.each<[key: string, value: string, status: number, message: string]>([
    ['owner', 'z', 403, 'HTTP 403 Forbidden: You are not permitted to create images owned by &#x27;z&#x27;.'],
    ['created_at', 'z', 403, 'HTTP 403 Forbidden: Attribute &#x27;created_at&#x27; is read-only.'],
    ['checksum', 'z', 403, 'HTTP 403 Forbidden: Attribute &#x27;checksum&#x27; is read-only.'],
    ['status', 'active', 403, 'HTTP 403 Forbidden: Attribute &#x27;status&#x27; is read-only.'],
    ['os_glance_x', 'z', 403, 'HTTP 403 Forbidden: Access was denied to this resource.: Attribute &#x27;os_glance_x&#x27; is reserved.'],
    ['protected', 'true', 500, TYPE_ERROR],
    ['os_hidden', 'true', 500, TYPE_ERROR],
    ['tags', 'x', 500, TYPE_ERROR],
    ['id', 'x', 500, TYPE_ERROR],
    ['size', '1', 500, TYPE_ERROR],
    ['min_disk', '1', 500, TYPE_ERROR],
    ['locations', 'x', 500, TYPE_ERROR],
    ['disk_format', 'zz', 500, TYPE_ERROR],
  ])('case 20: metadata %s, with a status that depends', async (key, value, status, message) => {
    const reply = await createImage(server, { name: 'x', metadata: { [key]: value } })
    expect(reply.status).toBe(status)
    expect(reply.json[status === 500 ? 'computeFault' : 'forbidden']).toEqual({ code: status, message })
  })

  test('case 30: more properties than Glance takes are a 500 that leaves nothing behind', async () => {
    const items = (count: number): Json => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, '1']))
    const refused = await createImage(server, { name: cloud.name('many'), metadata: items(128) }, '2.45')
    expect([refused.status, refused.json]).toEqual([500, { computeFault: { code: 500, message: OVER_LIMIT } }])
    const old = await createImage(server, { name: cloud.name('many'), metadata: items(129) })
    expect([old.status, old.json['forbidden']['message']]).toEqual([403, 'Image metadata limit exceeded'])
    expect((await api.request('image', 'GET', `/v2/images?name=${cloud.name('many')}`)).json['images']).toEqual([])
    expect((await cloud.server(server))['OS-EXT-STS:task_state']).toBe(null)
  })

  test.skipIf(!cloud.knobs)('case 30: with room for none but the upload’s own, it is accepted and then vanishes', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 117 }, (_, index) => [`k${index}`, '1']))
    const image = await cloud.snapshot(server, 'brim', metadata)
    expect((await progress(image)).at(-1)).toBe('gone')
    await cloud.untilServer(server, 'ACTIVE')
  })
})

describe('createImage makes', () => {
  test('case 17 and 24: an image named in Location, queued at first, while the server is busy', async () => {
    const metadata = { team: 'red', 'Org.OpenStack__1:Created By': 'x', MiXed_Case: 'Y', visibility: 'public', name: 'other', empty: '' }
    const reply = await createImage(server, { name: cloud.name('snap-é ✓'), metadata })
    expect([reply.status, reply.text]).toEqual([202, ''])
    const location = reply.headers.get('location') ?? ''
    expect(location).toMatch(/^http:\/\/127\.0\.0\.1:\d+\S*\/\/images\/[0-9a-f-]{36}$/)
    const id = location.split('/').at(-1) ?? ''

    const queued = await cloud.image(id)
    expect(queued).toMatchObject({ status: 'queued', size: null, disk_format: null })
    expect(queued).not.toHaveProperty('image_state')
    const [again, backup, stop, rebuild] = await Promise.all([
      createImage(server, { name: 'x' }),
      api.action(server, { createBackup: { name: 'x', backup_type: 'd', rotation: 1 } }),
      api.action(server, { 'os-stop': null }),
      api.action(server, { rebuild: { imageRef: cloud.baseImage } }),
    ])
    for (const [refused, action] of [[again, 'createImage'], [backup, 'createBackup'], [stop, 'stop'], [rebuild, 'rebuild']] as const) {
      expect(refused?.status).toBe(409)
      expect(refused?.json['conflictingRequest']['message']).toMatch(
        new RegExp(`^Cannot '${action}' instance ${server} while it is in task_state image_(snapshot_pending|snapshot|pending_upload|uploading)$`),
      )
    }

    const image = await cloud.finished(id, server)
    expect(image).toMatchObject({
      name: cloud.name('snap-é ✓'), status: 'active', visibility: 'private', owner: api.projectId, tags: [], protected: false, min_disk: 1,
      disk_format: 'raw', container_format: 'bare', size: 16384,
      instance_uuid: server, image_type: 'snapshot', user_id: api.issued['user']['id'], base_image_ref: cloud.baseImage,
      image_location: 'snapshot', image_state: 'available', owner_id: api.projectId,
      owner_user_name: api.issued['user']['name'], owner_project_name: api.issued['project']['name'],
      team: 'red', 'Org.OpenStack__1:Created By': 'x', MiXed_Case: 'Y', empty: '',
    })
    const base = await cloud.image(cloud.baseImage)
    expect(image['lab_vendor']).toBe(base?.['lab_vendor'])
    expect(await latestAction()).toMatchObject({ action: 'createImage', message: null, instance_uuid: server })
  })

  test('case 17: from 2.45 the id is in the body; metadata may claim another server, and the server’s own stays out', async () => {
    const metadata = { instance_uuid: NOBODY, image_type: 'mine', base_image_ref: 'none', disk_format: 'qcow2' }
    await withMetadata({ tier: 'db' }, async () => {
      const reply = await createImage(server, { name: cloud.name('claim'), metadata }, '2.45')
      expect([reply.status, Object.keys(reply.json)]).toEqual([202, ['image_id']])
      const image = await cloud.finished(reply.json['image_id'], server)
      expect(image).toMatchObject({ ...metadata, disk_format: 'raw' })
      expect(image).not.toHaveProperty('tier')
    })
  })

  test('case 22: images of stopped, paused, suspended and locked servers', async () => {
    const states = [
      ['os-stop', 'SHUTOFF', 'os-start'],
      ['pause', 'PAUSED', 'unpause'],
      ['suspend', 'SUSPENDED', 'resume'],
      ['lock', 'ACTIVE', 'unlock'],
    ] as const
    for (const [there, status, back] of states) {
      expect((await api.action(server, { [there]: null })).status).toBe(202)
      await cloud.untilServer(server, status)
      if (there === 'lock') {
        for (const refused of [await api.action(server, { 'os-stop': null }), await api.request('compute', 'DELETE', `/servers/${server}`)]) {
          expect([refused.status, refused.json['conflictingRequest']['message']]).toEqual([409, `Instance ${server} is locked`])
        }
      }
      const image = await cloud.finished(await cloud.snapshot(server, there), server)
      expect(image['instance_uuid']).toBe(server)
      await api.action(server, { [back]: null })
      await cloud.untilServer(server, 'ACTIVE')
    }
    const refused = await api.action(server, { 'os-start': null })
    expect(refused.json['conflictingRequest']['message']).toBe(`Cannot 'start' instance ${server} while it is in vm_state active`)
  })
})

describe('stopping and starting', () => {
  const power = (id: string, action: string): Promise<Reply> => api.action(id, { [action]: null })
  const refused = ({ status, json }: Reply): unknown[] => [status, json['conflictingRequest']?.['message']]

  test('each is accepted at once and done some time later, with a task meanwhile', async () => {
    const stop = await power(server, 'os-stop')
    expect([stop.status, stop.text]).toEqual([202, ''])
    // It may be done already.
    expect(refused(await power(server, 'os-stop'))).toEqual([409, expect.stringMatching(`^Cannot 'stop' instance ${server} while it is in (task_state powering-off|vm_state stopped)$`)])
    expect(await cloud.untilServer(server, 'SHUTOFF')).toMatchObject({ 'OS-EXT-STS:vm_state': 'stopped', 'OS-EXT-STS:power_state': 4 })
    expect(refused(await power(server, 'os-stop'))).toEqual([409, `Cannot 'stop' instance ${server} while it is in vm_state stopped`])
    expect((await power(server, 'os-start')).status).toBe(202)
    expect(refused(await power(server, 'os-start'))).toEqual([409, expect.stringMatching(`^Cannot 'start' instance ${server} while it is in (task_state powering-on|vm_state active)$`)])
    expect(await cloud.untilServer(server, 'ACTIVE')).toMatchObject({ 'OS-EXT-STS:vm_state': 'active', 'OS-EXT-STS:power_state': 1 })
    expect(refused(await power(server, 'os-start'))).toEqual([409, `Cannot 'start' instance ${server} while it is in vm_state active`])
    expect(await latestAction()).toMatchObject({ action: 'start', message: null })
  })

  test('a lock is looked at before the state, and does not bind an administrator', async () => {
    await api.action(server, { lock: null })
    for (const action of ['os-stop', 'os-start']) expect(refused(await power(server, action))).toEqual([409, `Instance ${server} is locked`])
    if (cloud.has('admin')) {
      const admin = await cloud.api('admin')
      expect((await admin.action(server, { 'os-stop': null })).status).toBe(202)
      await cloud.untilServer(server, 'SHUTOFF')
      expect(refused(await power(server, 'os-start'))).toEqual([409, `Instance ${server} is locked`])
      expect((await admin.action(server, { 'os-start': null })).status).toBe(202)
      await cloud.untilServer(server, 'ACTIVE')
    }
    await api.action(server, { unlock: null })
  })

  test('a server that is not there', async () => {
    for (const action of ['os-stop', 'os-start']) {
      expect((await power(NOBODY, action)).json).toEqual({ itemNotFound: { code: 404, message: `Instance ${NOBODY} has no mapping to a cell.` } })
    }
    if (!cloud.has('beta')) return
    const foreign = await (await cloud.api('beta')).action(server, { 'os-stop': null })
    expect(foreign.json).toEqual({ itemNotFound: { code: 404, message: `Instance ${server} could not be found.` } })
  })

  test('one that is shelved is on no host soon afterwards, and is not ready', async () => {
    const shelved = await cloud.boot({ label: 'offloaded' })
    await api.action(shelved, { shelve: null })
    await cloud.untilServer(shelved, 'SHELVED_OFFLOADED')
    await cloud.until(() => cloud.server(shelved), ({ hostId }) => hostId === '')
    for (const action of ['os-stop', 'os-start']) expect(refused(await power(shelved, action))).toEqual([409, `Instance ${shelved} is not ready`])
    await cloud.deleteServer(shelved)
  })
})

test.skipIf(!cloud.knobs)('a server that was never active is on no host, and is not ready to be stopped', async () => {
  const broken = await cloud.boot({ label: 'unborn', metadata: { lab_fail: 'spawn' }, until: 'ERROR' })
  expect(await cloud.server(broken)).toMatchObject({ hostId: '' })
  const reply = await api.action(broken, { 'os-stop': null })
  expect([reply.status, reply.json['conflictingRequest']['message']]).toEqual([409, `Instance ${broken} is not ready`])
})

describe('the host of a server', () => {
  test('is a hash that differs from project to project', async () => {
    const hostOf = async (id: string, name?: string): Promise<string> => (await cloud.server(id, name))['hostId']
    const host = await hostOf(server)
    expect(host).toMatch(/^[0-9a-f]{56}$/)
    expect((await get('/servers/detail')).json['servers'].find(({ id }: Json) => id === server)['hostId']).toBe(host)
    if (!cloud.has('beta')) return
    const other = await cloud.boot({ label: 'hosted', cloud: 'beta' })
    expect(await hostOf(other, 'beta')).toMatch(/^[0-9a-f]{56}$/)
    expect(await hostOf(other, 'beta')).not.toBe(host)
    await cloud.deleteServer(other, 'beta')
  })
})

describe.skipIf(!cloud.knobs)('snapshots that fail', () => {
  test('case 33: the hypervisor fails, the image goes, and only the actions tell', async () => {
    await withMetadata({ lab_fail: 'snapshot' }, async () => {
      expect(await progress(await cloud.snapshot(server, 'fail'))).toEqual(['queued', 'gone'])
      expect(await cloud.untilServer(server, 'ACTIVE')).not.toHaveProperty('fault')
    })
    const action = await latestAction()
    expect(action).toMatchObject({ action: 'createImage', message: 'Error' })
    const detail = await get(`/servers/${server}/os-instance-actions/${action['request_id']}`, '2.51')
    expect(detail.json['instanceAction']['events']).toMatchObject([{ event: 'compute_snapshot_instance', result: 'Error' }])
    expect((await get(`/servers/${server}/os-instance-actions/nope`)).json['itemNotFound']['message']).toBe('Action nope not found')
  })

  test('when its data has come, an image says when: its times tell how long it took', async () => {
    await withMetadata({ lab_upload: '3' }, async () => {
      const began = Date.now()
      const image = await cloud.finished(await cloud.snapshot(server, 'slow'), server)
      const seconds = (Date.parse(image['updated_at']) - Date.parse(image['created_at'])) / 1000
      expect(seconds).toBeGreaterThanOrEqual(3)
      if (!cloud.simulator) expect(seconds).toBeLessThanOrEqual((Date.now() - began) / 1000 + 1)
    })
  })

  test('case 34: an upload that breaks is tried again, so queued may follow saving', async () => {
    await withMetadata({ lab_fail: 'upload', lab_upload: '2' }, async () => {
      const states = await progress(await cloud.snapshot(server, 'break'))
      // Three attempts, of which a busy machine may miss what is short.
      const attempts = ['queued', 'saving', 'queued', 'saving', 'queued', 'saving', 'gone']
      if (cloud.simulator) expect(states.slice(0, 4)).toEqual(attempts.slice(0, 4))
      let seen = 0
      for (const state of attempts) if (state === states[seen]) seen += 1
      expect(states.slice(seen)).toEqual([])
      expect(states).toContain('saving')
      expect(states.at(-1)).toBe('gone')
      await cloud.untilServer(server, 'ACTIVE')
    })
  })

  test('case 35: nothing is ever uploaded, the image stays queued, and all is said to be well', async () => {
    await withMetadata({ lab_fail: 'queued' }, async () => {
      const image = await cloud.snapshot(server, 'never')
      await cloud.untilServer(server, 'ACTIVE')
      await cloud.sleep(1)
      expect(await cloud.image(image)).toMatchObject({ status: 'queued', size: null })
      expect((await latestAction())['message']).toBe(null)
    })
  })

  test('case 37: a guest that is not running leaves its server stuck', async () => {
    const stuck = await cloud.boot({ label: 'stuck', metadata: { lab_fail: 'notrunning' } })
    expect(await progress(await cloud.snapshot(stuck, 'stuck'))).toEqual(['queued', 'gone'])
    await cloud.sleep(1)
    const refused = await createImage(stuck, { name: 'x' })
    expect(refused.json['conflictingRequest']['message']).toBe(`Cannot 'createImage' instance ${stuck} while it is in task_state image_snapshot`)
    const reset = await api.action(stuck, { 'os-resetState': { state: 'active' } })
    expect([reset.status, reset.json['forbidden']['message']]).toEqual([403, "Policy doesn't allow os_compute_api:os-admin-actions:reset_state to be performed."])

    // Case 32: it is deleted; for a moment it is still there.
    expect((await api.request('compute', 'DELETE', `/servers/${stuck}`)).status).toBe(204)
    await cloud.until(() => cloud.server(stuck), ({ status }) => status === 'GONE')
    expect((await createImage(stuck, { name: 'x' })).status).toBe(404)
  })

  test('a server deleted in mid-snapshot takes the image with it, a little later', async () => {
    const doomed = await cloud.boot({ label: 'doomed', metadata: { lab_delay: '3' } })
    const image = await cloud.snapshot(doomed, 'doomed')
    // Deleted before its compute node has begun, it may leave the image queued for ever.
    const busy = await cloud.until(() => cloud.server(doomed), (seen) => seen['OS-EXT-STS:task_state'] === 'image_pending_upload')
    expect(busy['status']).toBe('ACTIVE')
    expect((await api.request('compute', 'DELETE', `/servers/${doomed}`)).status).toBe(204)
    await cloud.until(() => cloud.server(doomed), ({ status }) => status === 'GONE')
    expect((await progress(image)).at(-1)).toBe('gone')
  })

  test('case 23: no images of a server in error', async () => {
    const broken = await cloud.boot({ label: 'broken', metadata: { lab_fail: 'spawn' }, until: 'ERROR' })
    expect((await cloud.server(broken))['fault']).toMatchObject({ code: 500 })
    const refused = await createImage(broken, { name: 'x' })
    expect([refused.status, refused.json]).toEqual([409, { conflictingRequest: { code: 409, message: `Cannot 'createImage' instance ${broken} while it is in vm_state error` } }])
  })
})

describe('createBackup', () => {
  const backup = (name: string, rotation: number, type = 'daily'): Promise<Reply> =>
    api.action(server, { createBackup: { name: cloud.name(name), backup_type: type, rotation } }, '2.45')

  test.each<[order: object, message: string]>([
    [{ name: 'x' }, "Invalid input for field/attribute createBackup. Value: {'name': 'x'}. 'backup_type' is a required property"],
    [{ name: 'x', backup_type: 'd', rotation: -1 }, 'Invalid input for field/attribute rotation. Value: -1. -1 is less than the minimum of 0'],
    [{ name: 'x', backup_type: 5, rotation: 1 }, "Invalid input for field/attribute backup_type. Value: 5. 5 is not of type 'string'"],
  ])('refuses %j', async (order, message) => {
    const reply = await api.action(server, { createBackup: order })
    expect([reply.status, reply.json]).toEqual([400, { badRequest: { code: 400, message } }])
  })

  test('case 11 and 17: has its own Location, and rotates only its own type', async () => {
    const plain = await cloud.snapshot(server, 'plain')
    await cloud.finished(plain, server)
    const first = await api.action(server, { createBackup: { name: cloud.name('b1'), backup_type: 'daily', rotation: 1 } })
    expect(first.headers.get('location')).toMatch(/\/v2\.1\/images\/[0-9a-f-]{36}$/)
    const one = first.headers.get('location')?.split('/').at(-1) ?? ''
    expect(await cloud.finished(one, server)).toMatchObject({ image_type: 'backup', backup_type: 'daily', instance_uuid: server })
    const two = (await backup('b2', 1, 'weekly')).json['image_id']
    await cloud.finished(two, server)
    // Ages are whole seconds: only a later one is older for sure.
    await cloud.sleep(1)
    const three = (await backup('b3', 1)).json['image_id']
    await cloud.finished(three, server)

    await cloud.until(() => cloud.image(one), (image) => image === undefined)
    for (const id of [plain, two, three]) expect(await cloud.image(id)).toMatchObject({ status: 'active' })
  })
})

describe('metadata of a server', () => {
  test('is added to, replaced, and removed by item', async () => {
    const path = `/servers/${server}/metadata`
    const send = async (method: string, item: string, body?: object): Promise<unknown[]> => {
      const reply = await api.request('compute', method, path + item, { ...(body && { body }) })
      return [reply.status, reply.json]
    }
    expect(await send('POST', '', { metadata: { a: '1' } })).toEqual([200, { metadata: { a: '1' } }])
    expect(await send('POST', '', { metadata: { b: '2' } })).toEqual([200, { metadata: { a: '1', b: '2' } }])
    expect(await send('PUT', '', { metadata: { c: '3' } })).toEqual([200, { metadata: { c: '3' } }])
    expect(await send('PUT', '/d', { meta: { d: '4' } })).toEqual([200, { meta: { d: '4' } }])
    expect(await send('PUT', '/d', { meta: { e: '4' } })).toEqual([400, { badRequest: { code: 400, message: 'Request body and URI mismatch' } }])
    expect(await send('GET', '/d')).toEqual([200, { meta: { d: '4' } }])
    expect(await send('DELETE', '/d')).toEqual([204, {}])
    expect(await send('DELETE', '/d')).toEqual([404, { itemNotFound: { code: 404, message: 'Metadata item was not found' } }])
    expect(await send('POST', '', {})).toEqual([400, { badRequest: { code: 400, message: "'metadata' is a required property" } }])
    expect(await send('PUT', '', { metadata: {} })).toEqual([200, { metadata: {} }])
  })
})

describe('restoring', () => {
  test('case 67: not from an image that is missing or queued', async () => {
    const rebuild = await api.action(server, { rebuild: { imageRef: NOBODY } })
    expect([rebuild.status, rebuild.json['badRequest']['message']]).toEqual([400, 'Cannot find image for rebuild'])
    await expect(cloud.boot({ image: NOBODY })).rejects.toThrow('Can not find requested image')
    const queued = await api.request('image', 'POST', '/v2/images', { body: { name: cloud.name('queued'), disk_format: 'raw', container_format: 'bare' } })
    await expect(cloud.boot({ image: queued.json['id'] })).rejects.toThrow(`Image ${queued.json['id']} is not active.`)
    await expect(cloud.boot({ flavor: 'lab.nodisk' })).rejects.toThrow('Only volume-backed servers are allowed for flavors with zero disk.')
  })

  test('case 68: a stopped server is rebuilt and stays stopped', async () => {
    await api.action(server, { 'os-stop': null })
    await cloud.untilServer(server, 'SHUTOFF')
    const reply = await api.action(server, { rebuild: { imageRef: cloud.baseImage } })
    expect([reply.status, reply.json['server']['status']]).toEqual([202, 'REBUILD'])
    await cloud.untilServer(server, 'SHUTOFF')
    await api.action(server, { 'os-start': null })
    await cloud.untilServer(server, 'ACTIVE')
  })
})

describe.skipIf(!cloud.has('alpha-reader'))('case 60: a reader, under Zed’s defaults', () => {
  test('makes, tags and deletes images', async () => {
    const reader = await cloud.api('alpha-reader')
    const reply = await reader.action(server, { createImage: { name: cloud.name('reader') } }, '2.45')
    expect(reply.status).toBe(202)
    await cloud.finished(reply.json['image_id'], server)
    const path = `/v2/images/${reply.json['image_id']}`
    expect((await reader.request('image', 'PUT', `${path}/tags/t`)).status).toBe(204)
    expect((await reader.request('image', 'DELETE', path)).status).toBe(204)
  })
})

describe.skipIf(!cloud.has('gamma'))('case 29: a project with room for three images', () => {
  test('nova says 500, Glance 413', async () => {
    const gamma = await cloud.api('gamma')
    const small = await cloud.boot({ label: 'small', cloud: 'gamma' })
    const body = { name: cloud.name('filler'), disk_format: 'raw', container_format: 'bare' }
    for (let count = 0; count < 3; count += 1) {
      expect((await gamma.request('image', 'POST', '/v2/images', { body })).status).toBe(201)
    }
    const refused = await gamma.action(small, { createImage: { name: cloud.name('over') } })
    expect([refused.status, refused.json]).toEqual([500, { computeFault: { code: 500, message: OVER_LIMIT } }])
    const direct = await gamma.request('image', 'POST', '/v2/images', { body })
    expect(direct.status).toBe(413)
    expect(direct.text).toContain(`Project ${gamma.projectId} is over a limit for [Resource image_count_total is over limit of 3 due to current usage 3 and delta 1]`)
    const usage = await gamma.request('image', 'GET', '/v2/info/usage')
    expect(usage.json['usage']['image_count_total']).toEqual({ usage: 3, limit: 3 })
    expect((await cloud.server(small, 'gamma'))['OS-EXT-STS:task_state']).toBe(null)
    await cloud.deleteServer(small, 'gamma')
  })
})

describe.skipIf(!cloud.has('beta'))('servers of other projects', () => {
  test('are 404 for whoever knows their id', async () => {
    const beta = await cloud.api('beta')
    const missing = { itemNotFound: { code: 404, message: `Instance ${server} could not be found.` } }
    expect((await beta.request('compute', 'GET', `/servers/${server}`)).json).toEqual(missing)
    expect((await beta.action(server, { createImage: { name: 'x' } })).json).toEqual(missing)
  })
})

test('limits and flavors', async () => {
  const limits = await get('/limits')
  expect(limits.json['limits']).toMatchObject({ rate: [], absolute: { maxImageMeta: 128, maxServerMeta: 128 } })
  const flavors = await get('/flavors')
  expect(flavors.json['flavors'].map(({ name }: Json) => name)).toEqual(expect.arrayContaining(['lab.nodisk', 'lab.tiny']))
})
