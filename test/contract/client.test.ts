import { describe, expect, test } from 'vitest'
import { createdImageId } from '../../lib/openstack/compute.ts'
import type { TokenCache } from '../../lib/openstack/session.ts'
import type { Json, Reply } from './api.ts'
import { cloudUnderTest } from './harness.ts'
import { enter } from './service.ts'

const cloud = await cloudUnderTest()
const mine = await enter(cloud.entry())

describe('entering a cloud', () => {
  test('with a password', async () => {
    expect(mine.project).toBe((await cloud.api()).projectId)
  })

  test.skipIf(!cloud.has('alpha-appcred'))('case 54: with an application credential, which is sent without a scope', async () => {
    const entered = await enter(cloud.entry('alpha-appcred'))
    expect(entered.project).toBe((await cloud.api('alpha')).projectId)
  })

  test.skipIf(!cloud.has('alpha-appcred'))('with an application credential by its name and user', async () => {
    const { auth } = cloud.entry('alpha-appcred')
    const { username, user_domain_name } = cloud.entry('alpha').auth
    const byName = {
      ...cloud.entry('alpha-appcred'),
      auth: { auth_url: auth['auth_url']!, application_credential_name: 'lab', application_credential_secret: auth['application_credential_secret']!, username: username!, user_domain_name: user_domain_name! },
    }
    expect((await enter(byName)).project).toBe((await cloud.api('alpha')).projectId)
  })

  test('a wrong password is CLOUD_AUTH_FAILED, and the sentence does not hold it', async () => {
    const entry = cloud.entry('alpha')
    const wrong = { ...entry, auth: { ...entry.auth, password: 'not-the-password' } }
    await expect(enter(wrong)).rejects.toMatchObject({ code: 'CLOUD_AUTH_FAILED', message: expect.not.stringContaining('not-the-password') as unknown })
  })

  test.skipIf(!cloud.has('alpha-appcred'))('case 54: an application credential that does not exist is CLOUD_AUTH_FAILED, although Keystone says 404', async () => {
    const entry = cloud.entry('alpha-appcred')
    await expect(enter({ ...entry, auth: { ...entry.auth, application_credential_id: 'f'.repeat(32) } })).rejects.toMatchObject({
      code: 'CLOUD_AUTH_FAILED', message: expect.stringContaining('does not know this application credential') as unknown,
    })
  })

  test('case 53: a user without a project is CLOUD_UNSCOPED, and no empty cloud', async () => {
    const { project_name: _name, project_domain_name: _domain, ...unscoped } = cloud.entry('alpha').auth
    await expect(enter({ ...cloud.entry('alpha'), auth: unscoped })).rejects.toMatchObject({ code: 'CLOUD_UNSCOPED' })
  })

  test('case 57: an unknown region is an error that lists the regions', async () => {
    await expect(enter({ ...cloud.entry('alpha'), region_name: 'RegionNine' })).rejects.toMatchObject({
      code: 'CLOUD_REGION_UNKNOWN', message: expect.stringMatching(/^Region "RegionNine" does not exist; the regions are .*RegionOne/) as unknown,
    })
  })

  test.skipIf(!cloud.has('alpha-appcred'))('case 56: the token of a credential that expires ends in UTC, although it does not say so', async () => {
    const api = await cloud.api()
    const path = `/users/${api.issued['user']['id']}/application_credentials`
    const expiresAt = new Date(Math.floor(Date.now() / 1000) * 1000 + 600_000)
    const credential = { name: cloud.name('short'), secret: 'short-lived', roles: [{ name: 'member' }], expires_at: expiresAt.toISOString().slice(0, 19) }
    const made = (await api.request('identity', 'POST', path, { body: { application_credential: credential } })).json['application_credential']
    const tokens: TokenCache = {}
    const zone = process.env['TZ']
    process.env['TZ'] = 'America/New_York'
    try {
      const auth = { auth_url: cloud.entry().auth['auth_url']!, application_credential_id: made['id'], application_credential_secret: made['secret'] }
      await enter({ region_name: cloud.entry().region_name, auth }, { tokens })
    } finally {
      if (zone === undefined) delete process.env['TZ']
      else process.env['TZ'] = zone
      await api.request('identity', 'DELETE', `${path}/${made['id']}`)
    }
    expect(tokens.token?.expiresAt).toEqual(expiresAt)
  })

  test('case 39: a token that ends in the middle is replaced once, and the work goes on', async () => {
    const tokens: TokenCache = {}
    const entered = await enter(cloud.entry(), { tokens })
    const { value } = tokens.token!
    const revoked = await (await cloud.api()).request('identity', 'DELETE', '/auth/tokens', { headers: { 'x-subject-token': value } })
    expect(revoked.status).toBe(204)
    expect(await entered.image.getImage(cloud.baseImage)).toMatchObject({ status: 'active' })
    expect(tokens.token!.value).not.toBe(value)
  })

  test.each(['', '/', '/v2', '/v2/'])('case 58: Glance is found at its URL with "%s" at the end', async (end) => {
    const { issued } = await cloud.api()
    const glance: Json = issued['catalog'].find(({ type }: Json) => type === 'image')['endpoints'][0]
    const override = { ...cloud.entry(), image_endpoint_override: glance['url'].replace(/\/+$/, '') + end }
    expect(await (await enter(override)).image.getImage(cloud.baseImage)).toMatchObject({ id: cloud.baseImage })
  })
})

describe('servers', () => {
  test('case 43, 61: a listing has every server, with its name, state and volumes', async () => {
    const [plain, full] = await Promise.all([cloud.boot({ label: 'listed', metadata: { tier: 'web' } }), cloud.boot({ label: 'full', volumeBacked: true, dataVolumes: 1 })])
    const servers = new Map((await mine.compute.listServers()).map((server) => [server.id, server]))
    expect(servers.get(plain)).toEqual({
      id: plain, name: cloud.name('listed'), status: 'ACTIVE', taskState: null, volumes: [],
      tags: [], metadata: { tier: 'web' }, host: expect.stringMatching(/^[0-9a-f]{56}$/) as unknown, image: cloud.baseImage,
    })
    expect(servers.get(full)).toMatchObject({ status: 'ACTIVE', volumes: [expect.any(String), expect.any(String)], metadata: {}, image: undefined })
    expect(await mine.compute.getServer(plain)).toEqual(servers.get(plain))
  })

  test('a server has its tags, in listings and when it is looked at', async () => {
    const id = await cloud.boot({ label: 'tagged' })
    await (await cloud.api()).request('compute', 'PUT', `/servers/${id}/tags`, { body: { tags: ['daily', 'web tier'] }, microversion: 'compute 2.26' })
    const listed = (await mine.compute.listServers()).find((server) => server.id === id)
    expect(listed?.tags?.toSorted()).toEqual(['daily', 'web tier'])
    expect(await mine.compute.getServer(id)).toEqual(listed)
  })

  test('a server that does not exist is undefined', async () => {
    expect(await mine.compute.getServer('00000000-0000-4000-8000-000000000000')).toBeUndefined()
  })
})

describe('stopping and starting', () => {
  test('a server is stopped and started; what it is already is SERVER_STATE', async () => {
    const server = await cloud.boot({ label: 'power' })
    await expect(mine.compute.startServer(server)).rejects.toMatchObject({ code: 'SERVER_STATE', message: expect.stringMatching(/cannot be started\. Nova says: .* vm_state active/) as unknown })
    await mine.compute.stopServer(server)
    await cloud.untilServer(server, 'SHUTOFF')
    await expect(mine.compute.stopServer(server)).rejects.toMatchObject({ code: 'SERVER_STATE', message: expect.stringMatching(/cannot be stopped\. Nova says: .* vm_state stopped/) as unknown })
    await mine.compute.startServer(server)
    await cloud.untilServer(server, 'ACTIVE')
  })

  test('a shelved server, which no host has, is SERVER_STATE', async () => {
    const server = await cloud.boot({ label: 'hostless' })
    await (await cloud.api()).action(server, { shelve: null })
    await cloud.untilServer(server, 'SHELVED_OFFLOADED')
    // It is said to be shelved a moment before its host lets it go.
    const shelved = await cloud.until(() => mine.compute.getServer(server), (seen) => seen?.host === undefined)
    expect(shelved).toMatchObject({ status: 'SHELVED_OFFLOADED', image: cloud.baseImage })
    await expect(mine.compute.startServer(server)).rejects.toMatchObject({ code: 'SERVER_STATE', message: expect.stringContaining('is not ready') as unknown })
  })

  test('a locked server is SERVER_LOCKED, with the remedy', async () => {
    const server = await cloud.boot({ label: 'locked' })
    const api = await cloud.api()
    await api.action(server, { lock: null })
    for (const change of [() => mine.compute.stopServer(server), () => mine.compute.startServer(server)]) {
      await expect(change()).rejects.toMatchObject({ code: 'SERVER_LOCKED', requestId: expect.stringMatching(/^req-/) as unknown, message: expect.stringContaining('Unlock it') as unknown })
    }
    await api.action(server, { unlock: null })
    expect(await mine.compute.getServer(server)).toMatchObject({ status: 'ACTIVE', taskState: null })
  })

  test('a server whose image is being made is SERVER_BUSY, one that is gone SERVER_NOT_FOUND', async () => {
    const server = await cloud.boot({ label: 'powerless', metadata: { lab_delay: '3' } })
    const { image } = await mine.compute.createImage(server, cloud.name('powerless'), {})
    await expect(mine.compute.stopServer(server)).rejects.toMatchObject({ code: 'SERVER_BUSY' })
    await cloud.finished(image, server)
    const nobody = '00000000-0000-4000-8000-000000000000'
    await expect(mine.compute.stopServer(nobody)).rejects.toMatchObject({ code: 'SERVER_NOT_FOUND' })
    await expect(mine.compute.startServer(nobody)).rejects.toMatchObject({ code: 'SERVER_NOT_FOUND' })
  })
})

describe('images', () => {
  test('case 18: an image is made, found by its mark, sealed once active, and deleted once', async () => {
    const server = await cloud.boot({ label: 'imaged' })
    const mark = { 'org.openstack__1__created_by': 'scheduled_images_service', instance_uuid: server, scheduled_images__run: cloud.name('run') }
    const { image: id, requestId } = await mine.compute.createImage(server, cloud.name('made'), mark)
    expect(requestId).toMatch(/^req-/)
    await cloud.finished(id, server)

    const filter = { owner: mine.project, properties: { scheduled_images__run: cloud.name('run') } }
    const [listed, ...others] = await mine.image.listImages(filter)
    expect(others).toEqual([])
    expect(listed).toMatchObject({ id, name: cloud.name('made'), status: 'active', owner: mine.project, protected: false, tags: [], properties: mark })
    expect(listed!.size).toBeGreaterThan(0)

    await mine.image.addMarks(listed!, { scheduled_images__image: id }, ['scheduled-images'])
    expect(await mine.image.getImage(id)).toEqual({ ...listed!, updatedAt: expect.any(Date) as unknown, tags: ['scheduled-images'], properties: { ...listed!.properties, scheduled_images__image: id } })
    expect(await mine.image.deleteImage(id)).toBe(true)
    expect(await mine.image.deleteImage(id)).toBe(false)
    expect(await mine.image.getImage(id)).toBeUndefined()
    expect(await mine.image.listImages(filter)).toEqual([])
  })

  test('case 9: a value in another letter case is not found, although Glance finds it', async () => {
    const server = await cloud.boot({ label: 'cased' })
    const { image } = await mine.compute.createImage(server, cloud.name('cased'), { scheduled_images__run: cloud.name('CASED') })
    await cloud.finished(image, server)
    const find = (run: string) => mine.image.listImages({ owner: mine.project, properties: { scheduled_images__run: run } })
    expect(await find(cloud.name('CASED'))).toHaveLength(1)
    expect(await find(cloud.name('cased'))).toEqual([])
  })

  test('case 12: a protected image is FORBIDDEN, in one readable line with the request id', async () => {
    const server = await cloud.boot({ label: 'guarded' })
    const { image } = await mine.compute.createImage(server, cloud.name('guarded'), {})
    await cloud.finished(image, server)
    await (await cloud.api()).patch(image, [{ op: 'replace', path: '/protected', value: true }])
    await expect(mine.image.deleteImage(image)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      requestId: expect.stringMatching(/^req-/) as unknown,
      message: `Deleting image ${image} was answered 403: Image ${image} is protected and cannot be deleted.`,
    })
  })
})

describe.skipIf(!cloud.has('beta'))('sharing', () => {
  test('an image that is made shared is seen by its members alone, until they are taken away', async () => {
    const beta = await enter(cloud.entry('beta'))
    const server = await cloud.boot({ label: 'shared' })
    const { image } = await mine.compute.createImage(server, cloud.name('shared'), {})
    expect(await cloud.finished(image, server)).toMatchObject({ visibility: 'private' })
    await expect(mine.image.addMember(image, beta.project)).rejects.toMatchObject({ code: 'FORBIDDEN', message: expect.stringMatching(/^Sharing image .* was answered 403: Not allowed to create members/) as unknown })

    await mine.image.setVisibility(image, 'shared')
    expect(await mine.image.getImage(image)).toMatchObject({ visibility: 'shared', status: 'active' })
    expect(await beta.image.getImage(image)).toBeUndefined()
    await mine.image.addMember(image, beta.project)
    await mine.image.addMember(image, beta.project)
    expect(await beta.image.getImage(image)).toMatchObject({ visibility: 'shared', owner: mine.project })

    await mine.image.removeMember(image, beta.project)
    await mine.image.removeMember(image, beta.project)
    expect(await beta.image.getImage(image)).toBeUndefined()
    await mine.image.setVisibility(image, 'private')
    expect(await mine.image.getImage(image)).toMatchObject({ visibility: 'private' })
  })

  test("another project's image is FORBIDDEN to whoever sees it, and NOT_FOUND to others", async () => {
    const beta = await enter(cloud.entry('beta'))
    const server = await cloud.boot({ label: 'foreign' })
    const { image } = await mine.compute.createImage(server, cloud.name('foreign'), {})
    await cloud.finished(image, server)
    await expect(beta.image.setVisibility(image, 'shared')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(beta.image.addMember(image, mine.project)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await mine.image.setVisibility(image, 'shared')
    await mine.image.addMember(image, beta.project)
    await expect(beta.image.setVisibility(image, 'private')).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(beta.image.addMember(image, 'another')).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })
})

describe('volumes', () => {
  test('a root volume says which image it was made from, with its properties, and a blank one nothing', async () => {
    const server = await cloud.boot({ label: 'disks', volumeBacked: true, dataVolumes: 1 })
    const { volumes } = (await mine.compute.getServer(server))!
    const seen = await Promise.all(volumes.map((volume) => mine.blockStorage.getVolume(volume)))
    const base = await mine.image.getImage(cloud.baseImage)
    const root = seen.find((volume) => volume?.bootable)
    expect(root?.imageMetadata).toMatchObject({ image_id: cloud.baseImage, image_name: base!.name, ...base!.properties })
    expect(seen.filter((volume) => volume !== root)).toEqual([{ id: expect.any(String) as unknown, status: 'in-use', bootable: false, imageMetadata: {} }])
    expect(await mine.blockStorage.getVolume('00000000-0000-4000-8000-000000000000')).toBeUndefined()
  })
})

describe('errors', () => {
  test('case 59: whatever a service says, in JSON or HTML, comes as one readable line', async () => {
    const server = await cloud.boot({ label: 'refused' })
    const { image } = await mine.compute.createImage(server, cloud.name('refused'), {})
    await cloud.finished(image, server)
    const said = async (work: Promise<unknown>): Promise<string> => String(await work.then(() => 'no error', (error: Error) => error.message))
    expect(await said(mine.compute.createImage(server, '', {}))).toBe(
      `Asking for an image of server ${server} was answered 400: Invalid input for field/attribute name. Value: . '' is too short.`,
    )
    expect(await said(mine.compute.createImage(server, 'x', { created_at: 'z' }))).toMatch(/Nova says: HTTP 403 Forbidden: Attribute 'created_at' is read-only\.$/)
    const stranger = await mine.image.getImage(cloud.baseImage)
    expect(await said(mine.image.deleteImage(cloud.baseImage))).toBe(`Deleting image ${cloud.baseImage} was answered 403: You do not own this image.`)
    expect(await said(mine.image.addMarks(stranger!, {}, ['x'.repeat(256)]))).toMatch(/^Marking image [0-9a-f-]{36} was answered 40[03]: [^\n<]+\.$/)
  })
})

describe('createImage that is refused', () => {
  test('case 24: a server that is busy is SERVER_BUSY', async () => {
    const server = await cloud.boot({ label: 'busy', metadata: { lab_delay: '3' } })
    const { image } = await mine.compute.createImage(server, cloud.name('first'), {})
    await expect(mine.compute.createImage(server, cloud.name('second'), {})).rejects.toMatchObject({ code: 'SERVER_BUSY' })
    await cloud.finished(image, server)
  })

  test('case 23: a shelved server is SERVER_STATE', async () => {
    const server = await cloud.boot({ label: 'shelved' })
    await (await cloud.api()).request('compute', 'POST', `/servers/${server}/action`, { body: { shelve: null } })
    await cloud.until(() => cloud.server(server), (seen) => String(seen['status']).startsWith('SHELVED') && seen['OS-EXT-STS:task_state'] === null)
    await expect(mine.compute.createImage(server, cloud.name('refused'), {})).rejects.toMatchObject({ code: 'SERVER_STATE' })
  })

  test('case 32: a server that is gone is SERVER_NOT_FOUND', async () => {
    await expect(mine.compute.createImage('00000000-0000-4000-8000-000000000000', 'x', {})).rejects.toMatchObject({ code: 'SERVER_NOT_FOUND' })
  })

  test('a name that Nova does not take is BAD_REQUEST', async () => {
    const server = await cloud.boot({ label: 'named' })
    await expect(mine.compute.createImage(server, ' ', {})).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  })

  test.skipIf(!cloud.has('gamma'))('case 29: a used-up image quota is QUOTA_IMAGES, although Nova says 500', async () => {
    const gamma = await enter(cloud.entry('gamma'))
    const server = await cloud.boot({ label: 'quota', cloud: 'gamma' })
    const made: string[] = []
    const full = async (): Promise<never> => {
      for (;;) {
        const { image } = await gamma.compute.createImage(server, cloud.name(`full-${made.length}`), {})
        made.push(image)
        await cloud.until(() => cloud.server(server, 'gamma'), (seen) => seen['OS-EXT-STS:task_state'] === null)
      }
    }
    await expect(full()).rejects.toMatchObject({ code: 'QUOTA_IMAGES' })
    expect(made.length).toBeLessThanOrEqual(3)
    for (const image of made) await gamma.image.deleteImage(image)
  })
})

describe('createImage that is refused for want of room', () => {
  test('case 30: more properties than an image may have are QUOTA_IMAGES, with the number', async () => {
    const server = await cloud.boot({ label: 'many' })
    const metadata = Object.fromEntries(Array.from({ length: 128 }, (_, n) => [`k${n}`, '1']))
    await expect(mine.compute.createImage(server, cloud.name('many'), metadata)).rejects.toMatchObject({
      code: 'QUOTA_IMAGES', message: expect.stringContaining('128 properties') as unknown,
    })
  })

  test.skipIf(!cloud.has('beta'))('case 31: a used-up quota of volume snapshots is QUOTA_VOLUME_SNAPSHOTS, and other servers get their images', async () => {
    const beta = await enter(cloud.entry('beta'))
    const raw = await cloud.api('beta')
    const [db, web] = await Promise.all([cloud.boot({ label: 'full', volumeBacked: true, cloud: 'beta' }), cloud.boot({ label: 'room', cloud: 'beta' })])
    const [volume] = (await cloud.server(db, 'beta'))['os-extended-volumes:volumes_attached'] as Json[]
    const fill = (): Promise<Reply> => raw.request('block-storage', 'POST', '/snapshots', { body: { snapshot: { volume_id: volume!['id'], name: `snapshot for ${cloud.name('filler')}`, force: true } } })
    for (let count = 0; count < 10; count += 1) expect((await fill()).status).toBe(202)
    await expect(beta.compute.createImage(db, cloud.name('full'), {})).rejects.toMatchObject({ code: 'QUOTA_VOLUME_SNAPSHOTS' })
    const { image } = await beta.compute.createImage(web, cloud.name('room'), {})
    await cloud.until(() => cloud.image(image, 'beta'), (seen) => seen?.['status'] === 'active')
  })
})

describe('createImage that is accepted', () => {
  test('case 17: the id is found in Location below 2.45, a backup’s too, and in the body from there on', async () => {
    const api = await cloud.api()
    const server = await cloud.boot({ label: 'located' })
    const asked = [
      [{ createImage: { name: cloud.name('old') } }, undefined],
      [{ createBackup: { name: cloud.name('backup'), backup_type: 'd', rotation: 9 } }, undefined],
      [{ createImage: { name: cloud.name('new') } }, '2.45'],
    ] as const
    for (const [body, microversion] of asked) {
      const { status, headers, text } = await api.action(server, body, microversion)
      const id = createdImageId({ status, headers: Object.fromEntries(headers), text, requestId: undefined })
      expect(await cloud.finished(id, server)).toMatchObject({ name: Object.values(body)[0]!.name })
    }
  })
})

describe('volume snapshots', () => {
  test('case 47: they are listed with their state, outlive their image, and are deleted once', async () => {
    const server = await cloud.boot({ label: 'backed', volumeBacked: true })
    const { image: id } = await mine.compute.createImage(server, cloud.name('backed'), {})
    const image = await mine.image.getImage(id)
    expect(image).toMatchObject({ status: 'active', size: 0 })
    const [{ snapshot_id: snapshot }] = JSON.parse(image!.properties['block_device_mapping']!) as [{ snapshot_id: string }]
    await cloud.until(() => mine.blockStorage.listSnapshots(), (snapshots) => snapshots.get(snapshot)?.status === 'available')

    await mine.image.deleteImage(id)
    expect((await mine.blockStorage.listSnapshots()).get(snapshot)?.status).toBe('available')
    expect(await mine.blockStorage.deleteSnapshot(snapshot)).toBe(true)
    await cloud.until(() => mine.blockStorage.listSnapshots(), (snapshots) => !snapshots.has(snapshot))
    expect(await mine.blockStorage.deleteSnapshot(snapshot)).toBe(false)
  })
})
