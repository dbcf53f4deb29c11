import { expect, test } from 'vitest'
import { connect, type Api } from '../contract/api.ts'
import type { CloudEntry } from '../contract/harness.ts'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled } from '../support/scene.ts'
import { serviceIn } from '../support/service.ts'

const fixture = useWorld()
const edit = (attributes: Record<string, unknown>) => fixture.world.editSchedule('daily', 'web-1', attributes)
const membersOf = (image: ReturnType<typeof imagesOf>[number] | undefined) => Object.keys(image?.members ?? {}).toSorted()

test('each good image is shared with the projects of its schedule; one that is removed from the list stops being a member', async () => {
  const { world, service } = fixture
  const [beta, gamma] = [world.openstack.addProject('beta').id, world.openstack.addProject('gamma').id]
  const { id } = await scheduled(world, 'web-1', {}, { shareWith: [beta, gamma, world.project.id] })
  await enable(service)
  await runDays(service, 1, 2)
  for (const image of imagesOf(world, id)) {
    expect(image.visibility).toBe('shared')
    expect(membersOf(image)).toEqual([beta, gamma].toSorted())
  }
  await edit({ shareWith: [gamma] })
  await runDays(service, 3, 3)
  for (const image of imagesOf(world, id)) expect(membersOf(image)).toEqual([gamma])
  await edit({ shareWith: [] })
  await runDays(service, 4, 4)
  for (const image of imagesOf(world, id)) expect(membersOf(image)).toEqual([])
})

test('members whom people added stay, and an image that a person made public is left alone', async () => {
  const { world, service } = fixture
  const [beta, friend] = [world.openstack.addProject('beta').id, world.openstack.addProject('friend').id]
  const { id } = await scheduled(world, 'web-1', {}, { shareWith: [beta] })
  await enable(service)
  await runDays(service, 1, 1)
  const [image] = imagesOf(world, id)
  const login = () => connect(JSON.parse(world.aws.parameters.get('/scheduled-images/local/clouds/default')!) as CloudEntry)
  await (await login()).request('image', 'POST', `/v2/images/${image!.id}/members`, { body: { member: friend } })
  await edit({ shareWith: [] })
  await runDays(service, 2, 2)
  expect(membersOf(imagesOf(world, id)[0])).toEqual([friend])
  expect(await (await login()).patch(image!.id, [{ op: 'replace', path: '/visibility', value: 'community' }])).toMatchObject({ status: 200 })
  await edit({ shareWith: [beta] })
  await runDays(service, 3, 3)
  expect(imagesOf(world, id)[0]).toMatchObject({ visibility: 'community' })
})

test('a member whom a person took away is not added again, and members of the list are as they were', async () => {
  const { world, service } = fixture
  const [beta, gamma] = [world.openstack.addProject('beta').id, world.openstack.addProject('gamma').id]
  const { id } = await scheduled(world, 'web-1', {}, { shareWith: [beta, gamma] })
  await enable(service)
  await runDays(service, 1, 1)
  const login = await connect(JSON.parse(world.aws.parameters.get('/scheduled-images/local/clouds/default')!) as CloudEntry)
  expect(await login.request('image', 'DELETE', `/v2/images/${imagesOf(world, id)[0]!.id}/members/${beta}`)).toMatchObject({ status: 204 })
  await runDays(service, 2, 2)
  expect(imagesOf(world, id).map(membersOf)).toEqual([[gamma], [beta, gamma].toSorted()])
})

test('an image that a person made of a restored server is shared with nobody', async () => {
  const { world, service } = fixture
  const beta = world.openstack.addProject('beta').id
  const { id } = await scheduled(world, 'web-1', {}, { shareWith: [beta] })
  await enable(service)
  await runDays(service, 1, 1)
  const [image] = imagesOf(world, id)
  const restored = await scheduled(world, 'restored', { image: image!.id }, { retention: 5 })
  await runDays(service, 2, 3)
  for (const made of imagesOf(world, restored.id)) {
    expect(made.visibility).toBe('private')
    expect(membersOf(made)).toEqual([])
  }
})

test('sharing that was interrupted anywhere is finished, and what was begun is not forgotten when the list changes meanwhile', async () => {
  const { world, service } = fixture
  const [beta, gamma] = [world.openstack.addProject('beta').id, world.openstack.addProject('gamma').id]
  const { id } = await scheduled(world, 'web-1', {}, { shareWith: [beta, gamma] })
  await enable(service)
  const broken = world.openstack.fault({ service: 'image', method: 'POST', path: /members/, body: new RegExp(gamma), then: { status: 503 } })
  await runDays(service, 1, 1)
  expect(membersOf(imagesOf(world, id)[0])).toEqual([beta])
  expect(service.lines.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^not shared yet: /))
  await edit({ shareWith: [gamma] })
  broken()
  await runDays(service, 2, 2)
  for (const image of imagesOf(world, id)) expect(membersOf(image)).toEqual([gamma])
})

test.each([
  ['fails for a moment', 503, 'at the next tick'],
  ['is refused', 403, 'a day later'],
])('sharing that %s (%i) is tried again %s', async (_what, status, again) => {
  const { world, service } = fixture
  const beta = world.openstack.addProject('beta').id
  const { id } = await scheduled(world, 'web-1', {}, { shareWith: [beta] })
  await enable(service)
  await service.tickAt(day(1))
  world.openstack.fault({ service: 'image', method: 'POST', path: /members/, times: 1, then: { status } })
  await service.tickAt(day(1, '01:15:00'))
  expect(membersOf(imagesOf(world, id)[0])).toEqual([])
  const before = world.openstack.requests.length
  await service.tickAt(day(1, '01:30:00'))
  if (again === 'a day later') expect(world.openstack.requests).toHaveLength(before)
  else expect(membersOf(imagesOf(world, id)[0])).toEqual([beta])
  await runDays(service, 2, 2)
  expect(membersOf(imagesOf(world, id)[0])).toEqual([beta])
})

test.each<[what: string, change: (api: Api, image: string) => Promise<unknown>, shared: boolean]>([
  ['adds a tag to is shared, and keeps the tag', (api, image) => api.request('image', 'PUT', `/v2/images/${image}/tags/mine`), true],
  ['takes the mark from is not shared', (api, image) => api.patch(image, [{ op: 'remove', path: '/org.openstack__1__created_by' }]), false],
  ['makes public is not shared', (api, image) => api.patch(image, [{ op: 'replace', path: '/visibility', value: 'community' }]), false],
])('an image that a person, just after it was listed, %s', async (_what, change, shared) => {
  const { world, service } = fixture
  const beta = world.openstack.addProject('beta').id
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  await runDays(service, 1, 1)
  const api = await connect(JSON.parse(world.aws.parameters.get('/scheduled-images/local/clouds/default')!) as CloudEntry)
  const listed = await api.request('image', 'GET', `/v2/images?owner=${world.project.id}`)
  expect(await change(api, imagesOf(world, id)[0]!.id)).toMatchObject({ status: expect.toSatisfy((status: number) => status < 300) as unknown })
  const changed = imagesOf(world, id)[0]!
  world.openstack.fault({ service: 'image', method: 'GET', path: /\/images\?/, times: 1, then: { body: listed.text } })
  await edit({ shareWith: [beta] })
  await service.pruneAt(day(2, '12:00:00'))
  const [image] = imagesOf(world, id)
  expect(membersOf(image)).toEqual(shared ? [beta] : [])
  expect(image!.tags).toEqual(changed.tags)
  if (!shared) expect(image).toEqual(changed)
})

test('a volume-backed image is shared with a warning, and a dry run shares nothing', async () => {
  const { world, service } = fixture
  const beta = world.openstack.addProject('beta').id
  const { id } = await scheduled(world, 'db-1', { volumeBacked: true }, { schedule: 'web-1' })
  await enable(service)
  await runDays(service, 1, 1)
  await edit({ shareWith: [beta] })
  const dry = serviceIn(world, { DRY_RUN: 'true' })
  await dry.pruneAt(day(2, '12:00:00'))
  expect(imagesOf(world, id)[0]).toMatchObject({ visibility: 'private' })
  expect(dry.lines.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^dry run: would share Daily-db-1-\d+ with /))
  await service.pruneAt(day(2, '12:15:00'))
  expect(membersOf(imagesOf(world, id)[0])).toEqual([beta])
  expect(service.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toContain('the members see this image but cannot start servers from it: its data is in volume snapshots, which OpenStack does not share')
})
