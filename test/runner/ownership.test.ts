import { expect, test } from 'vitest'
import { personIn } from '../../demo/person.ts'
import { useWorld } from '../support/fixture.ts'
import { day, enable, imagesOf, runDays, scheduled } from '../support/scene.ts'

const fixture = useWorld()

const names = () => fixture.world.openstack.images().map(({ name }) => name)

test("case 1, 2, 3: a person's images stay, those of a server that was restored or rebuilt from one of ours too", async () => {
  const { world, service } = fixture
  const web = await scheduled(world, 'web-1', {}, { retention: 1 })
  await enable(service)
  await runDays(service, 1, 1)
  const person = personIn(world)
  const [ours] = imagesOf(world, web.id)

  world.setClock(day(1, '12:00:00'))
  const restored = await person.boot('restored', ours!.id)
  await person.createImage(web.id, 'by-hand')
  world.setClock(day(1, '12:05:00'))
  await person.act(web.id, { rebuild: { imageRef: ours!.id } })
  world.setClock(day(1, '12:10:00'))
  await person.createImage(restored, 'by-hand-of-restored')
  await person.createImage(web.id, 'by-hand-of-rebuilt')
  world.setClock(day(1, '12:20:00'))
  await person.act(restored, { shelve: null })

  // The restored server gets a schedule as well: now its own images are made beside those that inherited the marks.
  await world.putSchedule({ cadence: 'daily', schedule: 'web-1-restored', server: restored, retention: 1, spread: 0 })
  await runDays(service, 2, 4)

  for (const byHand of ['by-hand', 'by-hand-of-restored', 'by-hand-of-rebuilt', 'restored-shelved']) expect(names()).toContain(byHand)
  const inherited = world.openstack.images().find(({ name }) => name === 'by-hand-of-rebuilt')!
  expect(inherited.properties).toMatchObject({ instance_uuid: web.id, 'org.openstack__1__created_by': 'scheduled_images_service', scheduled_images__image: ours!.id })
  expect(imagesOf(world, web.id).filter(({ name }) => name?.startsWith('Daily-')).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-04'])
})

test('case 5: the images of a server restored from a volume-backed image of ours do not count as those of its source', async () => {
  const { world, service } = fixture
  const db = await scheduled(world, 'db-1', { volumeBacked: true }, { retention: 2 })
  await enable(service)
  await runDays(service, 1, 1)
  const person = personIn(world)
  world.setClock(day(1, '12:00:00'))
  const restored = await person.boot('restored', imagesOf(world, db.id)[0]!.id)
  world.setClock(day(1, '12:10:00'))
  for (const name of ['a', 'b', 'c']) await person.createImage(restored, name)
  expect(imagesOf(world, db.id).map(({ name }) => name)).toEqual(expect.arrayContaining(['a', 'b', 'c']))
  await runDays(service, 2, 4)
  expect(names()).toEqual(expect.arrayContaining(['a', 'b', 'c']))
  expect(imagesOf(world, db.id).filter(({ name }) => name?.startsWith('Daily-'))).toHaveLength(2)
})

test('a person keeps an image by taking the mark away, by protecting it, or by hiding it: it is not counted', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 2 })
  await enable(service)
  await runDays(service, 1, 1)
  const person = personIn(world)
  const keep = async (op: object) => {
    const newest = imagesOf(world, id).at(-1)!
    expect((await person.image('PATCH', newest.id, [op])).status).toBe(200)
    return newest.id
  }
  const kept = [await keep({ op: 'remove', path: '/org.openstack__1__created_by' })]
  await runDays(service, 2, 2)
  kept.push(await keep({ op: 'replace', path: '/protected', value: true }))
  await runDays(service, 3, 3)
  kept.push(await keep({ op: 'replace', path: '/os_hidden', value: true }))
  await runDays(service, 4, 8)
  expect(imagesOf(world, id).map((image) => image.id).slice(0, 3)).toEqual(kept)
  expect(imagesOf(world, id).slice(3).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-07', '2026-11-08'])
})

test('case 6, 8: images of another project that carry our mark are left alone, whoever lists them', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1', {}, { retention: 1 })
  const stranger = world.openstack.addProject('stranger')
  const properties = { 'org.openstack__1__created_by': 'scheduled_images_service', instance_uuid: id, scheduled_images__schedule: 'daily/web-1' }
  const theirs = world.openstack.addImage(stranger, { name: 'theirs', visibility: 'public', properties, createdAt: new Date('2020-01-01') })
  await enable(service)
  await runDays(service, 1, 3)
  expect(names()).toContain(theirs.name)
  expect(world.openstack.requests.filter(({ method, path }) => method === 'DELETE' && path.includes(theirs.id))).toEqual([])
})

test('an image that a person unmarks while it is being made counts as the good image of its period, and is theirs', async () => {
  const { world, service } = fixture
  const { id } = await scheduled(world, 'web-1')
  await enable(service)
  await service.tickAt(day(1))
  const person = personIn(world)
  const [image] = imagesOf(world, id)
  world.setClock(day(1, '01:10:00'))
  await person.image('PATCH', image!.id, [{ op: 'remove', path: '/org.openstack__1__created_by' }])
  await service.tickAt(day(1, '01:15:00'))
  expect(imagesOf(world, id)).toMatchObject([{ tags: [] }])
  expect(service.lines.some(({ message }) => message.startsWith('good, and kept by a person'))).toBe(true)
  expect(await service.snapshotAt('daily', day(1, '01:30:00'))).toMatchObject({ notDue: 1 })
})
