import { beforeEach, expect, test } from 'vitest'
import { createdBy, marks } from '../../lib/model/image.ts'
import { useDesk } from '../support/cli.ts'

const desk = useDesk({ snapshotSeconds: { saving: 1, active: 5, idle: 6 } })
let server: string

/** Three days of ticks of a daily schedule that keeps two. */
beforeEach(async () => {
  server = desk.world.openstack.addServer(desk.world.project, { name: 'web-1' }).id
  await desk.run(['enable', '--now', 'web-1', '2'])
  for (const at of ['2026-11-01T00:00Z', '2026-11-01T00:15Z', '2026-11-02T02:00Z', '2026-11-02T02:15Z']) {
    desk.world.setClock(at)
    expect(await desk.run(['run', 'all'])).toMatchObject({ code: 0 })
  }
})

interface Row {
  readonly id: string
  readonly verdict: string
  readonly reason: string
}

const images = async () => JSON.parse((await desk.run(['-o', 'json', 'images', 'web-1'])).out) as Row[]

test('images are listed with what keeps each', async () => {
  const [newest, oldest] = await images()
  expect([newest, oldest]).toMatchObject([
    { verdict: 'keep', reason: 'good image 1 of 2', good: true, period: '2026-11-02', schedule: `daily/${server}`, protected: false },
    { verdict: 'keep', reason: 'good image 2 of 2', good: true, period: '2026-10-31' },
  ])
  const { out } = await desk.run(['images', server])
  expect(out.split('\n')[0]).toMatch(/^IMAGE +NAME +SCHEDULE +MADE +AGE +SIZE +STATE +VERDICT$/)
  expect(out.split('\n')[1]).toMatch(new RegExp(`^${newest!.id} +Daily-web-1-\\d+ +daily/${server} +2026-11-02 02:00 UTC +15 min +.*B +good +keep: good image 1 of 2$`))
})

test('a protected image is kept and not counted, and counts again when it is not', async () => {
  const [, oldest] = await images()
  expect(await desk.run(['protect', oldest!.id])).toMatchObject({ code: 0, out: expect.stringMatching(/is kept until it is unprotected\.$/) as string })
  expect(await images()).toMatchObject([{ reason: 'good image 1 of 2' }, { verdict: 'kept', reason: 'it is protected, and not counted' }])
  expect(desk.world.openstack.images().find(({ id }) => id === oldest!.id)).toMatchObject({ protected: true })
  expect((await desk.run(['unprotect', oldest!.id])).out).toContain(`counts in the retention of daily/${server} again`)
  expect(await images()).toMatchObject([{}, { verdict: 'keep', reason: 'good image 2 of 2' }])
})

test('unprotect gives back the mark that somebody took away to keep an image', async () => {
  const [, oldest] = await images()
  const cloud = await import('../../lib/installation.ts')
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const { ports } = cloud.openDirectory(desk.directory, { dryRun: false }, { env: {}, clock: desk.world.clock, log: silent })
  const entered = await ports.clouds.open('default', () => 60_000)
  await entered.image.addMarks((await entered.image.getImage(oldest!.id))!, { [marks.createdBy]: 'me' }, [])
  expect(await images()).toMatchObject([{}, { verdict: 'kept' }])
  await desk.run(['unprotect', oldest!.id])
  expect(await images()).toMatchObject([{}, { verdict: 'keep' }])
  expect(desk.world.openstack.images().find(({ id }) => id === oldest!.id)!.properties[marks.createdBy]).toBe(createdBy)
})

test('an image is named by its name too, unless several have it', async () => {
  const twin = { name: 'twin', properties: {} }
  desk.world.openstack.addImage(desk.world.project, { ...twin, name: 'single' })
  expect((await desk.run(['protect', 'single'])).code).toBe(0)
  const ids = [1, 2].map(() => desk.world.openstack.addImage(desk.world.project, twin).id)
  const { code, err } = await desk.run(['protect', 'twin'])
  expect([code, ...ids.map((id) => err.includes(id))]).toEqual([1, true, true])
  expect(await desk.run(['protect', 'nothing'])).toMatchObject({ code: 1, err: 'ERROR (IMAGE_NOT_FOUND): No image with a name or ID of "nothing" exists in the project.' })
})

test('explain says when it runs, why each image is there, and what another retention would change', async () => {
  const [newest, oldest] = await images()
  const { out } = await desk.run(['explain', 'web-1', '--retention', '1'])
  expect(out).toContain(`daily/${server}: web-1 of cloud default, daily at 01:00 UTC; of its good images the last 2 are kept.`)
  expect(out.match(/^Next: 2026-11-0[345] /gm)).toHaveLength(3)
  expect(out).toContain('keep: good image 2 of 2')
  expect(out).toContain('If the last 1 were kept:')
  expect(out).toContain(`(${oldest!.id}) would be deleted: a newer good image is kept`)
  const json = JSON.parse((await desk.run(['-o', 'json', 'explain', `daily/${server}`, '--keep', 'last=1,daily=2'])).out) as { images: Row[]; ifKept: { deletes: Row[]; keeps: Row[] } }
  expect(json.images.map(({ id }) => id)).toEqual([newest!.id, oldest!.id])
  expect(json.ifKept).toMatchObject({ deletes: [], keeps: [] })
  // Nothing was changed by asking.
  expect(await images()).toHaveLength(2)
})

test.each<[args: string[], code: number, err: string]>([
  [['explain', 'daily/nothing'], 1, 'ERROR (SCHEDULE_NOT_FOUND): There is no schedule "daily/nothing".'],
  [['explain', 'nobody'], 1, 'ERROR (SCHEDULE_NOT_FOUND): There is neither a schedule nor a server named "nobody".'],
  [['explain', 'web-1', '--keep', 'least=2'], 2, "argument 'least=2' is invalid. It must be rules such as last=2,daily=7,weekly=4,within=P14D."],
  [['explain', 'web-1', '--keep', 'last=2', '--retention', '2'], 2, "option '--retention <count>' cannot be used with option '--keep <rules>'"],
  [['explain', 'web-1', '--retention', '0'], 2, 'It must be a whole number from 1 to 65535.'],
  [['images', 'nobody'], 1, 'ERROR (SERVER_NOT_FOUND): No server with a name or ID of "nobody" exists.'],
])('%j is refused', async (args, code, err) => {
  const ran = await desk.run(args)
  expect(ran).toMatchObject({ code, out: '' })
  expect(ran.err).toContain(err)
})

test('the images of a deleted server are found by its UUID', async () => {
  desk.world.openstack.remove(server)
  expect((await desk.run(['images', server])).out.split('\n')).toHaveLength(3)
  expect((await desk.run(['history', server])).out).toContain('missed')
})
