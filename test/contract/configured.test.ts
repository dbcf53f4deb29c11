import { expect, test } from 'vitest'
import type { TokenCache } from '../../lib/openstack/session.ts'
import { cloudUnderTest } from './harness.ts'
import { enter } from './service.ts'

/**
 * What a cloud does only if it is set up so: the simulator is, and the lab with `OSLAB_NEW_DEFAULTS=1`,
 * `OSLAB_NOVA_MAX_LIMIT`, `OSLAB_GLANCE_MAX_LIMIT` and `OSLAB_TOKEN_TTL`, whose values the tests want to know as well.
 */
const cloud = await cloudUnderTest({ readersOnlyRead: true, serverPageLimit: 2, imagePageLimit: 2, tokenLifetimeSeconds: 20 })
const isSet = (...variables: readonly string[]) => !cloud.real || variables.every((variable) => process.env[variable] !== undefined)

test.skipIf(!isSet('OSLAB_NEW_DEFAULTS'))('case 60: a reader who lists images may be refused each action, in words that name the role', async () => {
  const [reader, member] = await Promise.all([enter(cloud.entry('alpha-reader')), enter(cloud.entry('alpha'))])
  const server = await cloud.boot({ label: 'readable' })
  await expect(reader.compute.createImage(server, cloud.name('refused'), {})).rejects.toMatchObject({
    code: 'FORBIDDEN', message: expect.stringMatching(/^The credentials may not make images; they need the role member\. Nova says: Policy doesn't allow/) as unknown,
  })
  await expect(reader.compute.stopServer(server)).rejects.toMatchObject({
    code: 'FORBIDDEN', message: expect.stringMatching(/^The credentials may not have servers stopped; they need the role member\. Nova says: Policy doesn't allow/) as unknown,
  })
  const { image } = await member.compute.createImage(server, cloud.name('readable'), {})
  await cloud.finished(image, server)
  expect(await reader.image.getImage(image)).toMatchObject({ status: 'active' })
  await expect(reader.image.deleteImage(image)).rejects.toMatchObject({
    code: 'FORBIDDEN', message: `Deleting image ${image} was answered 403: You are not authorized to complete delete_image action.`,
  })
})

test.skipIf(!isSet('OSLAB_NOVA_MAX_LIMIT', 'OSLAB_GLANCE_MAX_LIMIT'))('case 43: listings go to the end, although the cloud gives fewer at a time than are asked for', async () => {
  const mine = await enter(cloud.entry())
  const servers = await Promise.all(['a', 'b', 'c'].map((label) => cloud.boot({ label })))
  const images = []
  for (const server of servers) {
    const { image } = await mine.compute.createImage(server, cloud.name('paged'), { scheduled_images__run: cloud.name('paged') })
    images.push(image)
  }
  const api = await cloud.api()
  const page = await api.request('compute', 'GET', '/servers?limit=1000')
  expect(page.json['servers_links']).toHaveLength(1)
  expect((await mine.compute.listServers()).map(({ id }) => id)).toEqual(expect.arrayContaining(servers))
  const listed = await mine.image.listImages({ owner: mine.project, properties: { scheduled_images__run: cloud.name('paged') } })
  expect(listed.map(({ id }) => id).toSorted()).toEqual(images.toSorted())
})

test.skipIf(!isSet('OSLAB_TOKEN_TTL'))('case 39: a token is replaced before it ends', async () => {
  const lifetime = cloud.real ? Number(process.env['OSLAB_TOKEN_TTL']) : 20
  const began = Date.now()
  let slept = 0
  const tokens: TokenCache = {}
  const clock = () => new Date(cloud.real ? Date.now() : began + slept)
  const mine = await enter(cloud.entry(), { tokens, clock })
  const values = new Set<string>()
  while (slept < lifetime * 1200) {
    await cloud.sleep(lifetime / 10)
    slept += lifetime * 100
    expect(tokens.token!.expiresAt.getTime()).toBeGreaterThan(clock().getTime())
    expect(await mine.image.getImage(cloud.baseImage)).toMatchObject({ status: 'active' })
    values.add(tokens.token!.value)
  }
  expect(values.size).toBeGreaterThan(1)
})
