import { describe, expect, test } from 'vitest'
import { connect, type OpenStack } from '../../lib/openstack/cloud.ts'
import { parseCloudConfig } from '../../lib/openstack/config.ts'
import { cloudUnderTest, type CloudEntry } from './harness.ts'

const cloud = await cloudUnderTest()

/** Our client, entered with an entry of clouds.yaml. */
function enter(entry: CloudEntry = cloud.entry()): Promise<OpenStack> {
  return connect(parseCloudConfig(JSON.stringify(entry), 'test'), { clock: () => new Date() })
}

const mine = await enter()

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
})

describe('servers', () => {
  test('case 43, 61: a listing has every server, with its name, state and volumes', async () => {
    const [plain, full] = await Promise.all([cloud.boot({ label: 'listed' }), cloud.boot({ label: 'full', volumeBacked: true, dataVolumes: 1 })])
    const servers = new Map((await mine.compute.listServers()).map((server) => [server.id, server]))
    expect(servers.get(plain)).toEqual({ id: plain, name: cloud.name('listed'), status: 'ACTIVE', taskState: null, volumes: [] })
    expect(servers.get(full)).toMatchObject({ status: 'ACTIVE', volumes: [expect.any(String), expect.any(String)] })
    expect(await mine.compute.getServer(plain)).toEqual(servers.get(plain))
  })

  test('a server that does not exist is undefined', async () => {
    expect(await mine.compute.getServer('00000000-0000-4000-8000-000000000000')).toBeUndefined()
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
    expect(await mine.image.getImage(id)).toEqual({ ...listed!, tags: ['scheduled-images'], properties: { ...listed!.properties, scheduled_images__image: id } })
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
