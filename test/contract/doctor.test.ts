import { describe, expect, onTestFinished, test } from 'vitest'
import { cloudUnderTest } from './harness.ts'
import { enter } from './service.ts'

const cloud = await cloudUnderTest()
const api = await cloud.api()
const mine = await enter(cloud.entry())

describe('what credentials are', () => {
  test('a password: its user, project and roles, and how far the clocks are apart', async () => {
    const login = await mine.identity.login()
    expect(login).toMatchObject({
      kind: 'password', application: undefined, passwordExpiresAt: undefined, verify: true,
      project: { id: api.projectId, name: cloud.entry().auth['project_name'] }, user: { name: cloud.entry().auth['username'] },
    })
    expect(login.roles.toSorted()).toEqual(['member', 'reader'])
    expect(Math.abs(login.clockAheadMs!)).toBeLessThan(60_000)
  })

  test.skipIf(!cloud.has('alpha-appcred'))('an application credential: restricted, and for ever', async () => {
    const { identity } = await enter(cloud.entry('alpha-appcred'))
    const login = await identity.login()
    expect(login).toMatchObject({ kind: 'application credential', roles: ['member'], application: { name: 'lab', restricted: true } })
    expect(await identity.credentialExpiry(login.user!.id, login.application!.id)).toBeUndefined()
  })

  test('an application credential that ends says when, and looks itself up', async () => {
    const path = `/users/${api.issued['user']['id']}/application_credentials`
    const expiresAt = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_000)
    const credential = { name: cloud.name('ends'), secret: 'not-for-long', roles: [{ name: 'member' }], expires_at: expiresAt.toISOString().slice(0, 19) }
    const made = (await api.request('identity', 'POST', path, { body: { application_credential: credential } })).json['application_credential']
    onTestFinished(async () => void (await api.request('identity', 'DELETE', `${path}/${made['id']}`)))
    const { auth_url } = cloud.entry().auth
    const { identity } = await enter({ auth_type: 'v3applicationcredential', region_name: cloud.entry().region_name, auth: { auth_url: auth_url!, application_credential_id: made['id'], application_credential_secret: 'not-for-long' } })
    const login = await identity.login()
    expect(await identity.credentialExpiry(login.user!.id, login.application!.id)).toEqual(expiresAt)
  })
})

describe('what there is', () => {
  test('the quota of images, and that of volume snapshots', async () => {
    expect(await mine.image.usage()).toEqual({
      count: { used: expect.any(Number) as number, limit: expect.any(Number) as number },
      size: { used: expect.any(Number) as number, limit: expect.any(Number) as number },
    })
    const before = await mine.blockStorage.getQuotas()
    expect(before.snapshots.limit).toBeGreaterThan(0)
    const server = await cloud.boot({ label: 'bfv', volumeBacked: true })
    const { volumes } = (await mine.compute.getServer(server))!
    expect((await mine.blockStorage.volumeSizes()).get(volumes[0]!)).toBe(1)
    await cloud.snapshot(server, 'bfv')
    // Others may use the project at the same time.
    await cloud.until(() => mine.blockStorage.getQuotas(), ({ snapshots, gigabytes }) => snapshots.used > before.snapshots.used && gigabytes.used >= before.gigabytes.used + 2)
  })

  test('the microversions that are used', async () => {
    expect(await mine.compute.missingMicroversion()).toBeUndefined()
  })
})

describe('what is allowed, asked without harm', () => {
  test('a member may do everything, and an image that was asked about is as it was', async () => {
    const made = (await api.request('image', 'POST', '/v2/images', { body: { name: cloud.name('asked'), disk_format: 'raw', container_format: 'bare', visibility: 'private' } })).json
    const answers = [mine.compute.mayMakeImages(), mine.compute.mayStopServers(), mine.image.mayChangeImages(made['id']), mine.image.mayChangeImages(undefined), mine.image.mayDeleteImages(), mine.blockStorage.mayDeleteSnapshots()]
    expect(await Promise.all(answers)).toEqual(answers.map(() => 'yes'))
    expect(await cloud.image(made['id'])).toEqual(made)
  })

  test.skipIf(cloud.simulator !== undefined)('access rules that do not allow it are told of', async () => {
    const path = `/users/${api.issued['user']['id']}/application_credentials`
    const credential = { name: cloud.name('ruled'), secret: 'ruled-by-rules', roles: [{ name: 'member' }], access_rules: [{ service: 'compute', method: 'GET', path: '/v2.1/servers/detail' }, { service: 'image', method: 'DELETE', path: '/v2/images/*' }] }
    const made = (await api.request('identity', 'POST', path, { body: { application_credential: credential } })).json['application_credential']
    onTestFinished(async () => void (await api.request('identity', 'DELETE', `${path}/${made['id']}`)))
    const { auth_url } = cloud.entry().auth
    const ruled = await enter({ auth_type: 'v3applicationcredential', region_name: cloud.entry().region_name, auth: { auth_url: auth_url!, application_credential_id: made['id'], application_credential_secret: 'ruled-by-rules' } })
    expect(await ruled.compute.mayMakeImages()).toBe('access rules')
    expect(await ruled.image.mayChangeImages(undefined)).toBe('access rules')
    expect(await ruled.image.mayDeleteImages()).toBe('yes')
    const login = await ruled.identity.login()
    // Keystone does not go by them itself.
    expect(await ruled.identity.credentialExpiry(login.user!.id, login.application!.id)).toBeUndefined()
  })
})
