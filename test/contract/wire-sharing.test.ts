import { describe, expect, test } from 'vitest'
import type { Api, Json, Reply } from './api.ts'
import { cloudUnderTest } from './harness.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()

const NOBODY = '11111111-1111-1111-1111-111111111111'

/** An image of a person's own that is `shared`, unless told otherwise, and tagged with its label. */
async function made(label: string, fields: Json = {}): Promise<string> {
  const body = { name: cloud.name(label), disk_format: 'raw', container_format: 'bare', tags: [cloud.name(label)], ...fields }
  const reply = await api.request('image', 'POST', '/v2/images', { body })
  if (reply.status !== 201) throw new Error(`${reply.status} ${reply.text}`)
  return reply.json['id']
}

const members = (method: string, id: string, { member = '', body, who = api }: { member?: string; body?: unknown; who?: Api } = {}): Promise<Reply> =>
  who.request('image', method, `/v2/images/${id}/members${member && `/${member}`}`, { ...(body !== undefined && { body }) })
const add = (id: string, member: string, who = api): Promise<Reply> => members('POST', id, { body: { member }, who })
const show = (id: string, visibility: string, who = api): Promise<Reply> => who.patch(id, [{ op: 'replace', path: '/visibility', value: visibility }])
/** The first sentence of an HTML error. */
const refused = (reply: Reply): unknown[] => [reply.status, /<\/h1>\s*(.*?)<br \/><br \/>/s.exec(reply.text)?.[1] ?? reply.text]

describe.skipIf(!cloud.has('beta') || !cloud.has('gamma'))('sharing an image', async () => {
  const beta = await cloud.api('beta')
  const gamma = await cloud.api('gamma')
  const sees = async (id: string, who: Api): Promise<boolean> => (await who.request('image', 'GET', `/v2/images/${id}`)).status === 200

  test('a member is pending, is shown so, and sees the image at once', async () => {
    const id = await made('pending')
    const reply = await add(id, beta.projectId)
    expect(reply.status).toBe(200)
    expect(reply.json).toEqual({
      member_id: beta.projectId, image_id: id, status: 'pending', schema: '/v2/schemas/member',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/), updated_at: reply.json['created_at'],
    })
    expect((await members('GET', id)).json).toEqual({ members: [reply.json], schema: '/v2/schemas/members' })
    expect((await members('GET', id, { member: beta.projectId })).json).toEqual(reply.json)
    expect([await sees(id, beta), await sees(id, gamma)]).toEqual([true, false])
  })

  test('a member twice is 409, one taken away twice 404, and one that comes again is pending again', async () => {
    const id = await made('twice')
    await add(id, beta.projectId)
    expect(refused(await add(id, beta.projectId))).toEqual([409, `Member ${beta.projectId} is duplicated for image ${id}`])
    await members('PUT', id, { member: beta.projectId, body: { status: 'accepted' }, who: beta })
    const gone = await members('DELETE', id, { member: beta.projectId })
    expect([gone.status, gone.text]).toEqual([204, ''])
    expect(await sees(id, beta)).toBe(false)
    expect(refused(await members('DELETE', id, { member: beta.projectId }))).toEqual([404, `${beta.projectId} not found in the member list of the image ${id}.`])
    expect((await add(id, beta.projectId)).json['status']).toBe('pending')
  })

  test('Glance does not ask whether there is such a project', async () => {
    const id = await made('anybody')
    expect((await add(id, 'no such project')).json).toMatchObject({ member_id: 'no such project', status: 'pending' })
    expect((await members('DELETE', id, { member: encodeURIComponent('no such project') })).status).toBe(204)
  })

  test.each<[what: string, body: unknown, message: string]>([
    ['nothing', {}, 'Member to be added not specified'],
    ['an empty member', { member: '' }, 'Member can&#x27;t be empty'],
  ])('adding %s is 400', async (_what, body, message) => {
    expect(refused(await members('POST', await made('empty'), { body }))).toEqual([400, message])
  })

  test.each(['private', 'community'])('a %s image has no members: they are neither added, taken away nor listed', async (visibility) => {
    const id = await made(visibility, { visibility })
    expect(refused(await add(id, beta.projectId))).toEqual([403, `Not allowed to create members for image ${id}.`])
    expect(refused(await members('DELETE', id, { member: beta.projectId }))).toEqual([403, `Not allowed to delete members for image ${id}.`])
    expect(refused(await members('GET', id))).toEqual([403, `Not allowed to list members for image ${id}: Only shared images have members.`])
    expect((await members('GET', id, { member: beta.projectId })).status).toBe(404)
  })

  test('members outlive a time in which the image is private', async () => {
    const id = await made('hidden')
    await add(id, beta.projectId)
    await members('PUT', id, { member: beta.projectId, body: { status: 'accepted' }, who: beta })
    const reply = await show(id, 'private')
    expect([reply.status, reply.json['visibility']]).toEqual([200, 'private'])
    expect(await sees(id, beta)).toBe(false)
    expect(refused(await members('DELETE', id, { member: beta.projectId }))).toEqual([403, `Not allowed to delete members for image ${id}.`])
    expect((await show(id, 'shared')).status).toBe(200)
    expect(await sees(id, beta)).toBe(true)
    expect((await members('GET', id)).json['members']).toMatchObject([{ member_id: beta.projectId, status: 'accepted' }])
  })

  test('an image that one cannot see has no members and no visibility to change', async () => {
    const id = await made('unseen')
    const missing = [404, `Image ${id} not found.`]
    for (const attempt of [add(id, beta.projectId, beta), members('GET', id, { who: beta }), members('PUT', id, { member: beta.projectId, body: { status: 'accepted' }, who: beta }), members('DELETE', id, { member: beta.projectId, who: beta })]) {
      expect(refused(await attempt)).toEqual(missing)
    }
    expect((await show(id, 'private', beta)).status).toBe(404)
    expect(refused(await add(NOBODY, beta.projectId))).toEqual([404, `Image ${NOBODY} not found.`])
  })

  test('a member sees itself alone, and changes nothing but its own status', async () => {
    const id = await made('shared')
    await add(id, beta.projectId)
    await add(id, gamma.projectId)
    expect((await members('GET', id, { who: beta })).json['members']).toMatchObject([{ member_id: beta.projectId }])
    expect((await members('GET', id, { member: gamma.projectId, who: beta })).status).toBe(404)
    expect(refused(await add(id, 'another', beta))).toEqual([403, `Not allowed to create members for image ${id}.`])
    expect(refused(await members('DELETE', id, { member: beta.projectId, who: beta }))).toEqual([403, `Not allowed to delete members for image ${id}.`])
    expect(refused(await members('PUT', id, { member: gamma.projectId, body: { status: 'accepted' }, who: beta }))).toEqual([404, `${gamma.projectId} not found in the member list of the image ${id}.`])
    expect((await show(id, 'private', beta)).status).toBe(403)
    expect(refused(await members('PUT', id, { member: beta.projectId, body: { status: 'accepted' } }))).toEqual([403, `Not allowed to update members for image ${id}.`])
    expect(refused(await members('PUT', id, { member: beta.projectId, body: { status: 'bogus' }, who: beta }))).toEqual([400, 'Incorrect request: Status must be &quot;pending&quot;, &quot;accepted&quot; or &quot;rejected&quot;.'])
    expect(refused(await members('PUT', id, { member: beta.projectId, body: {}, who: beta }))).toEqual([400, 'Status not specified'])
  })

  test("a status decides whether the image is in a member's listings", async () => {
    const id = await made('listed')
    await add(id, beta.projectId)
    const listed = async (query = ''): Promise<number> => (await beta.request('image', 'GET', `/v2/images?tag=${cloud.name('listed')}${query}`)).json['images'].length
    const counts = async (): Promise<number[]> => Promise.all([listed(), listed('&visibility=shared&member_status=pending'), listed('&visibility=shared&member_status=all'), listed(`&owner=${api.projectId}`)])
    const set = async (status: string): Promise<string> => (await members('PUT', id, { member: beta.projectId, body: { status }, who: beta })).json['status']
    expect(await counts()).toEqual([0, 1, 1, 0])
    expect(await set('accepted')).toBe('accepted')
    expect(await counts()).toEqual([1, 0, 1, 1])
    expect(await set('rejected')).toBe('rejected')
    expect(await counts()).toEqual([0, 0, 1, 0])
    // It is still found by its id.
    expect(await sees(id, beta)).toBe(true)
  })

  test('an image of a server is private until it is shared; then a member boots from it, and the owner deletes it', async () => {
    const server = await cloud.boot({ label: 'source' })
    const id = await cloud.snapshot(server, 'source')
    expect(await cloud.finished(id, server)).toMatchObject({ visibility: 'private' })
    await expect(cloud.boot({ label: 'too-early', image: id, cloud: 'beta' })).rejects.toThrow('Can not find requested image')
    await show(id, 'shared')
    await add(id, beta.projectId)
    const copy = await cloud.boot({ label: 'copy', image: id, cloud: 'beta' })
    expect((await api.request('image', 'DELETE', `/v2/images/${id}`)).status).toBe(204)
    expect(await sees(id, beta)).toBe(false)
    expect(await cloud.server(copy, 'beta')).toMatchObject({ status: 'ACTIVE', image: { id } })
    await cloud.deleteServer(copy, 'beta')
  })

  test('the image of a volume-backed server is of no use to a member, as volume snapshots cannot be shared', async () => {
    const server = await cloud.boot({ label: 'backed', volumeBacked: true })
    const id = await cloud.snapshot(server, 'backed')
    const image = await cloud.finished(id, server)
    const [{ snapshot_id: snapshot }] = JSON.parse(image['block_device_mapping']) as [{ snapshot_id: string }]
    await show(id, 'shared')
    await add(id, beta.projectId)
    await expect(cloud.boot({ label: 'useless', image: id, cloud: 'beta' })).rejects.toThrow(`failed to get snapshot ${snapshot}`)
  })

  test('an image has 128 members at most', async () => {
    const id = await made('many')
    for (let n = 0; n < 128; n += 8) {
      const replies = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((k) => add(id, `p${n + k}`)))
      expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200))
    }
    const message = `Image member limit exceeded for image ${id}: The limit has been exceeded on the number of allowed image members for this image. Attempted: 129, Maximum: 128:`
    expect(refused(await add(id, 'one more'))).toEqual([413, message])
    // One that is there already as well: they are counted first.
    expect(refused(await add(id, 'p0'))).toEqual([413, message])
  })
})
