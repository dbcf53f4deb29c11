import { expect, test } from 'vitest'
import { connect } from '../contract/api.ts'
import type { CloudEntry } from '../contract/harness.ts'
import { useDesk } from '../support/cli.ts'

const desk = useDesk()
const servers = () => desk.world.openstack.servers()
const named = (name: string) => servers().find((server) => server.name === name)
const asked = () => desk.world.openstack.requests.filter(({ service, method, path, action }) => service === 'compute' && method === 'POST' && (/^\/v2\.1\/servers$/.test(path) || action === 'rebuild'))
const setTime = (time: string) => desk.world.setClock(new Date(time))
const api = () => connect(JSON.parse(desk.world.aws.parameters.get('/scheduled-images/local/clouds/default')!) as CloudEntry)

/** A server with a scheduled image of 2026-11-02, looked at half an hour later. */
async function scheduled(name = 'web-1', seed: Partial<Parameters<typeof desk.world.openstack.addServer>[1]> = {}) {
  const server = desk.world.openstack.addServer(desk.world.project, { name, ...seed })
  setTime('2026-11-01T00:00:00Z')
  await desk.run(['enable', '--at', '01:00', name, '7'])
  await desk.run(['run', 'all'])
  setTime('2026-11-02T02:00:00Z')
  await desk.run(['run', 'all'])
  setTime('2026-11-02T02:01:00Z')
  await desk.run(['prune'])
  const image = desk.world.openstack.images().find(({ id, properties }) => properties['instance_uuid'] === server.id && properties['scheduled_images__image'] === id)!
  setTime('2026-11-02T02:31:00Z')
  return { server, image, name: image.name! }
}

/** Ctrl-C at the first progress; or something else that happens while one waits. */
function atFirstProgress(act: () => void) {
  let done = false
  return {
    onProgress: () => {
      if (!done) act()
      done = true
    },
  }
}

test('an image becomes a new server, after all was looked at and somebody said yes', async () => {
  const { image, name } = await scheduled()
  const states: string[] = []
  const ran = await desk.run(['restore', name, '--new', 'web-1-restored', '--network', 'none'], { answer: true, onProgress: (line) => states.push(line) })
  const made = named('web-1-restored')!
  expect(ran).toEqual({
    code: 0,
    out: `Server "web-1-restored" (${made.id}) is restored, and ACTIVE.`,
    err: [
      `- A new server "web-1-restored" is made of image "${name}" (${image.id}) of 2026-11-02 02:00 UTC, of flavor lab.tiny (1 VCPU, 64 MiB of memory, 1 GiB of disk). No other server is touched.`,
      '- It has no network.',
      'Make server "web-1-restored"?',
      `Server "web-1-restored" (${made.id}) is being made.`,
    ].join('\n'),
  })
  expect(made).toMatchObject({ status: 'ACTIVE', imageId: image.id, metadata: {}, tags: [] })
  expect(states).toEqual(['web-1-restored: BUILD (scheduling), 0 s'])
})

test('a machine reads one document, and is not asked', async () => {
  const { server, image } = await scheduled('db-1', { volumeBacked: true, dataVolumes: 1 })
  const ran = await desk.run(['-o', 'json', 'restore', image.id, '--new', 'db-2', '--yes', '--volume-type', '__DEFAULT__', '--network', 'auto', '--security-group', 'db', '--security-group', 'ssh'])
  expect(ran.code).toBe(0)
  const document = JSON.parse(ran.out) as Record<string, unknown>
  const made = named('db-2')!
  expect(document).toMatchObject({
    kind: 'new', findings: [], server: { id: made.id, name: 'db-2', status: 'ACTIVE' },
    image: { id: image.id, server: server.id, schedule: `daily/${server.id}`, period: '2026-11-02' },
  })
  expect(document['steps']).toContain("It is on the project's only network, with a new address, or one that OpenStack makes. Security groups: db, ssh.")
  expect(made).toMatchObject({ volumeBacked: true, volumeIds: [expect.any(String), expect.any(String)] })
  expect(new Set([...made.volumeIds, ...server.volumeIds]).size).toBe(4)
})

test('an image is put back on its server', async () => {
  const { server, image, name } = await scheduled()
  setTime('2026-11-03T00:00:00Z')
  const ran = await desk.run(['restore', name, '--rebuild', 'web-1'], { answer: true })
  expect(ran).toEqual({
    code: 0,
    out: `Server "web-1" (${server.id}) is restored, and ACTIVE.`,
    err: [
      `- The root disk of server "web-1" (${server.id}) is overwritten with image "${name}" (${image.id}) of 2026-11-02 02:00 UTC. What was written to it after 2026-11-02 02:00 UTC is lost.`,
      '- The server keeps its id, name, flavor, key, metadata, ports, addresses and attached volumes.',
      '- It is down meanwhile, and boots afterwards.',
      `WARNING (NO_RECENT_IMAGE): The newest good scheduled image of "web-1" is of 2026-11-02 02:00 UTC. To be able to come back to what is on it now, take one first: scheduled-images snapshot --type before-restore ${server.id}`,
      'Overwrite server "web-1"?',
      `Server "web-1" (${server.id}) is being rebuilt.`,
    ].join('\n'),
  })
  expect(named('web-1')).toMatchObject({ id: server.id, imageId: image.id, status: 'ACTIVE' })
})

test('case 68: a stopped server is restored when it is stopped again', async () => {
  const { server, name } = await scheduled('web-1', { status: 'SHUTOFF' })
  expect(await desk.run(['restore', name, '--rebuild', server.id, '--yes'])).toMatchObject({ code: 0, out: `Server "web-1" (${server.id}) is restored, and SHUTOFF.` })
})

test('nothing is touched when somebody says no, nobody is there, or it is a dry run', async () => {
  const { name } = await scheduled()
  const no = await desk.run(['restore', name, '--rebuild', 'web-1'], { answer: false })
  expect([no.code, no.out, no.err.split('\n').at(-1)]).toEqual([1, '', 'Nothing was touched.'])
  const nobody = await desk.run(['restore', name, '--new', 'web-2'])
  expect([nobody.code, nobody.out, nobody.err.split('\n').at(-1)]).toEqual([1, '', 'ERROR (CONFIRMATION_NEEDED): Nobody is there to answer: Make server "web-2"? Say --yes to go on without being asked.'])
  const dry = await desk.run(['restore', name, '--new', 'web-2', '--dry-run'])
  expect(dry).toMatchObject({ code: 0, out: expect.stringContaining('A new server "web-2" is made') as unknown, err: 'Dry run: nothing was touched.' })
  const document = JSON.parse((await desk.run(['-o', 'json', 'restore', name, '--rebuild', 'web-1', '--dry-run'])).out) as unknown
  expect(document).toMatchObject({ kind: 'rebuild', findings: [], steps: [expect.any(String), expect.any(String), expect.any(String)] })
  expect(document).not.toHaveProperty('server')
  expect(asked()).toEqual([])
})

type Scene = Awaited<ReturnType<typeof scheduled>>

test.each<[what: string, prepare: (scene: Scene) => void | Promise<void>, args: readonly string[], message: string | RegExp]>([
  ['case 67: an image that is gone', ({ image }) => desk.world.openstack.remove(image.id), ['IMAGE', '--new', 'x'], /^ERROR \(IMAGE_NOT_FOUND\): No image with a name or ID of ".*" exists in the project\.$/],
  ['an image whose name another has', ({ name }) => void desk.world.openstack.addImage(desk.world.project, { name }), ['IMAGE', '--new', 'x'], /^ERROR \(IMAGE_AMBIGUOUS\): 2 images are named /],
  ['a server that does not exist', () => {}, ['IMAGE', '--rebuild', 'web-9'], 'ERROR (SERVER_NOT_FOUND): No server with a name or ID of "web-9" exists.'],
  ['a server of a UUID that does not exist', () => {}, ['IMAGE', '--rebuild', '11111111-1111-4111-8111-111111111111'], 'ERROR (SERVER_NOT_FOUND): No server with a name or ID of "11111111-1111-4111-8111-111111111111" exists.'],
  ['a flavor that does not exist', () => {}, ['IMAGE', '--new', 'x', '--flavor', 'm1.huge'], 'ERROR (RESTORE_REFUSED): There is no flavor "m1.huge". Those that fit: lab.tiny. Nothing was touched.'],
  ['a flavor without a disk', () => {}, ['IMAGE', '--new', 'x', '--flavor', 'lab.nodisk'], /^ERROR \(RESTORE_REFUSED\): Flavor lab\.nodisk is too small for image ".*": it has no disk, and is for servers that boot from a volume\. Those that fit: lab\.tiny\. Nothing was touched\.$/],
  ['no flavor for a server that is gone', ({ server }) => desk.world.openstack.remove(server.id), ['IMAGE', '--new', 'x'], /^ERROR \(RESTORE_REFUSED\): The server that image ".*" is of no longer exists, so --flavor has to say how large the new one is to be\. Those that fit: lab\.tiny\. Nothing was touched\.$/],
  ['a key that does not exist', () => {}, ['IMAGE', '--new', 'x', '--key-name', 'ops'], 'ERROR (RESTORE_REFUSED): There is no key "ops" of the user of these credentials. "openstack keypair list" shows those that there are. Nothing was touched.'],
  ['a volume type for an image without volumes', () => {}, ['IMAGE', '--new', 'x', '--volume-type', 'ssd'], /^ERROR \(RESTORE_REFUSED\): Image ".*" has no volumes that could be of the type "ssd": its server has its disk on the compute host\. Nothing was touched\.$/],
  ['quotas that are used up', () => desk.world.openstack.setQuotas(desk.world.project, { instanceQuota: 1, coreQuota: 1, ramQuota: 64 }), ['IMAGE', '--new', 'x'], 'ERROR (RESTORE_REFUSED): The project may have 1 servers and has 1; the new server needs 1 more. Delete something, or have the quota raised. The project may have 1 VCPUs and has 1; the new server needs 1 more. Delete something, or have the quota raised. The project may have 64 MiB of memory and has 64; the new server needs 64 more. Delete something, or have the quota raised. Nothing was touched.'],
  ['a server that is busy', ({ server }) => desk.world.openstack.setServer(server.id, { taskState: 'image_uploading' }), ['IMAGE', '--rebuild', 'web-1'], 'ERROR (RESTORE_REFUSED): Server "web-1" is busy (image_uploading). Try again when it no longer is. Nothing was touched.'],
  ['a server that is paused', ({ server }) => desk.world.openstack.setServer(server.id, { status: 'PAUSED' }), ['IMAGE', '--rebuild', 'web-1'], 'ERROR (RESTORE_REFUSED): Server "web-1" is in state PAUSED, in which OpenStack rebuilds nothing; it has to be ACTIVE, SHUTOFF or ERROR. Nothing was touched.'],
  ['a server that is locked', async ({ server }) => void (await (await api()).action(server.id, { lock: null })), ['IMAGE', '--rebuild', 'web-1'], /^ERROR \(RESTORE_REFUSED\): Server "web-1" is locked\. Unlock it first: openstack server unlock \S+ Nothing was touched\.$/],
])('%s: it says so, and touches nothing', async (_, prepare, args, message) => {
  const scene = await scheduled()
  await prepare(scene)
  const ran = await desk.run(['restore', ...args.map((arg) => (arg === 'IMAGE' ? scene.name : arg)), '--yes'])
  expect([ran.code, ran.out]).toEqual([1, ''])
  const last = ran.err.split('\n').at(-1)
  if (typeof message === 'string') expect(last).toBe(message)
  else expect(last).toMatch(message)
  expect(asked()).toEqual([])
})

test.each<[what: string, prepare: (snapshot: string) => void, args: readonly string[], message: RegExp]>([
  ['case 66: a volume snapshot that is gone', (snapshot) => desk.world.openstack.remove(snapshot), ['--new', 'x'], / cannot be restored: its volume snapshot \S+ does not exist\. Choose another image\. Nothing was touched\.$/],
  ['case 66: a volume snapshot in error', (snapshot) => desk.world.openstack.setSnapshot(snapshot, { status: 'error' }), ['--new', 'x'], / cannot be restored: its volume snapshot \S+ is error\. Choose another image\. Nothing was touched\.$/],
  ['case 64: the volume-backed server itself', () => {}, ['--rebuild', 'db-1'], /^ERROR \(RESTORE_REFUSED\): Server "db-1" boots from a volume\. OpenStack does not put a volume snapshot back into a volume that is in use, and a rebuild would lose the volume\. Make a new server instead: --new NAME\. Nothing was touched\.$/],
  ['case 65: a server with a disk of its own', () => void desk.world.openstack.addServer(desk.world.project, { name: 'web-1' }), ['--rebuild', 'web-1'], /^ERROR \(RESTORE_REFUSED\): Image ".*" is of a volume-backed server and holds no bytes itself; OpenStack would rebuild "web-1" from nothing\. Make a new server instead: --new NAME\. Nothing was touched\.$/],
  ['quotas of volumes that are used up', () => desk.world.openstack.setQuotas(desk.world.project, { volumeQuota: 1, gigabyteQuota: 2 }), ['--new', 'x'], /^ERROR \(RESTORE_REFUSED\): The project may have 1 volumes and has 1; the new server needs 1 more\. Delete something, or have the quota raised\. The project may have 2 GiB of volumes and volume snapshots and has 2; the new server needs 1 more\. Delete something, or have the quota raised\. Nothing was touched\.$/],
  ['a volume type that does not exist', () => {}, ['--new', 'x', '--volume-type', 'nope'], /^ERROR \(RESTORE_REFUSED\): There is no volume type "nope"\. There are: __DEFAULT__\. Nothing was touched\.$/],
])('of a volume-backed image, %s: it says so, and touches nothing', async (_, prepare, args, message) => {
  const { image } = await scheduled('db-1', { volumeBacked: true })
  prepare(desk.world.openstack.snapshots()[0]!.id)
  const ran = await desk.run(['restore', image.id, ...args, '--yes'])
  expect([ran.code, ran.out]).toEqual([1, ''])
  expect(ran.err.split('\n').at(-1)).toMatch(message)
  const document = JSON.parse((await desk.run(['-o', 'json', 'restore', image.id, ...args, '--yes'])).out) as { findings: { blocks: boolean }[] }
  expect(document.findings.some(({ blocks }) => blocks)).toBe(true)
  expect(asked()).toEqual([])
})

test.each<[args: readonly string[], message: string]>([
  [['--new', 'x', '--rebuild', 'y'], 'error: say either --new NAME or --rebuild SERVER'],
  [[], 'error: say either --new NAME or --rebuild SERVER'],
  [['--rebuild', 'x', '--flavor', 'y'], 'error: --flavor goes with --new only: a rebuilt server keeps what it has'],
  [['--rebuild', 'x', '--network', 'none'], 'error: --network goes with --new only: a rebuilt server keeps what it has'],
  [['--new', ' x'], 'error: --new takes a name of 1 to 255 characters, without space at either end, not " x"'],
  [['--new', ''], 'error: --new takes a name of 1 to 255 characters, without space at either end, not ""'],
  [['--new', 'x', '--network', 'private'], 'error: --network takes the UUIDs of networks, or auto or none by itself, not "private" ("openstack network list" shows the UUIDs)'],
  [['--new', 'x', '--network', 'none', '--network', 'auto'], 'error: --network takes the UUIDs of networks, or auto or none by itself, not "none" ("openstack network list" shows the UUIDs)'],
  [['--new'], "error: option '--new <name>' argument missing"],
  [['--nwe', 'x'], "error: unknown option '--nwe'"],
])('restore IMAGE %j is wrong usage', async (args, message) => {
  const ran = await desk.run(['restore', 'IMAGE', ...args])
  expect([ran.code, ran.out, ran.err.split('\n')[0]]).toEqual([2, '', message])
  expect(desk.world.openstack.requests).toEqual([])
})

test('Ctrl-C while one waits says what goes on in the cloud, and it does', async () => {
  const { name } = await scheduled()
  for (const [args, server] of [[['--new', 'web-2'], 'web-2'], [['--rebuild', 'web-1'], 'web-1']] as const) {
    const controller = new AbortController()
    const ran = await desk.run(['restore', name, ...args, '--yes'], { interrupted: controller.signal, ...atFirstProgress(() => controller.abort()) })
    const { id } = named(server)!
    expect([ran.code, ran.out, ran.err.split('\n').at(-1)]).toEqual([130, '', `Interrupted. The restore goes on in the cloud: openstack server show ${id}`])
    setTime('2026-11-02T03:00:00Z')
    expect(named(server)).toMatchObject({ status: 'ACTIVE', taskState: null })
  }
})

test('Ctrl-C before anything was asked of the cloud touches nothing', async () => {
  const { name } = await scheduled()
  expect(await desk.run(['restore', name, '--new', 'web-2', '--yes'], { interrupted: AbortSignal.abort() })).toMatchObject({ code: 130 })
  const controller = new AbortController()
  const asking = desk.world.openstack.fault({ service: 'compute', path: /limits/, then: { delayMs: 100 } })
  const running = desk.run(['restore', name, '--new', 'web-2', '--yes'], { interrupted: controller.signal })
  controller.abort()
  expect(await running).toEqual({ code: 130, out: '', err: 'Interrupted. Nothing was touched.' })
  asking()
  expect(asked()).toEqual([])
})

test('a restore that fails is told of, with what to do', async () => {
  const { server, name } = await scheduled()
  const restoring = async (args: readonly string[], act: () => void) => (await desk.run(['restore', name, ...args, '--yes'], atFirstProgress(act))).err.split('\n').at(-1)
  const broken = await restoring(['--new', 'web-2'], () => desk.world.openstack.setServer(named('web-2')!.id, { status: 'ERROR' }))
  expect(broken).toBe(`ERROR (RESTORE_FAILED): Server "web-2" (${named('web-2')!.id}) is in ERROR. Delete it: openstack server delete ${named('web-2')!.id}`)
  expect(await restoring(['--new', 'web-3'], () => desk.world.openstack.remove(named('web-3')!.id))).toMatch(/^ERROR \(RESTORE_FAILED\): Server \S+ is gone: somebody has deleted it\.$/)
  desk.world.openstack.setServer(server.id, { metadata: { lab_fail: 'spawn' } })
  expect(await restoring(['--rebuild', 'web-1'], () => {})).toBe(`ERROR (RESTORE_FAILED): Server "web-1" (${server.id}) is in ERROR: oslab: spawn failed on purpose. Its root disk may be lost; restore it once more, or make a new server of the image.`)
  // From ERROR it can be restored.
  desk.world.openstack.setServer(server.id, { metadata: {} })
  expect(await desk.run(['restore', name, '--rebuild', 'web-1', '--yes'])).toMatchObject({ code: 0, out: `Server "web-1" (${server.id}) is restored, and ACTIVE.` })
})

test('a rebuild that somebody else has undone is told of', async () => {
  const { server, name, image } = await scheduled()
  const { baseImageId } = desk.world.openstack
  desk.world.openstack.fault({ service: 'compute', method: 'POST', body: /rebuild/, then: { status: 202, body: {} } })
  expect((await desk.run(['restore', name, '--rebuild', 'web-1', '--yes'])).err.split('\n').at(-1)).toBe(`ERROR (RESTORE_FAILED): Server "web-1" (${server.id}) was not rebuilt: it still shows image ${baseImageId}.`)
  expect(named('web-1')?.imageId).not.toBe(image.id)
})

test('a server whose volume is lost is no success, although Nova says ACTIVE; one that is not ready yet is waited for', async () => {
  const { image } = await scheduled('db-1', { volumeBacked: true })
  const volume = (status: string) => ({ volume: { id: '22222222-2222-4222-8222-222222222222', status, bootable: 'true' } })
  const lose = desk.world.openstack.fault({ service: 'block-storage', path: /\/volumes\//, then: { body: volume('error_restoring') } })
  const lost = await desk.run(['restore', image.id, '--new', 'db-2', '--yes'])
  expect([lost.code, lost.err.split('\n').at(-1)]).toEqual([1, `ERROR (RESTORE_FAILED): Server "db-2" (${named('db-2')!.id}) runs, but its volume 22222222-2222-4222-8222-222222222222 is in error_restoring. Delete it: openstack server delete ${named('db-2')!.id}`])
  lose()

  const states: string[] = []
  desk.world.openstack.fault({ service: 'block-storage', path: /\/volumes\//, times: 1, then: { body: volume('downloading') } })
  expect(await desk.run(['restore', image.id, '--new', 'db-3', '--yes'], { onProgress: (line) => states.push(line) })).toMatchObject({ code: 0 })
  expect(states).toEqual(['db-3: BUILD (scheduling), 0 s', 'db-3: ACTIVE, 0 of 1 volumes in use, 2 s'])
})

test('what cannot be watched to its end goes on, and says how to look at it', async () => {
  const { name } = await scheduled()
  const slow = await desk.run(['restore', name, '--new', 'web-2', '--yes'], {
    onProgress: () => {
      desk.world.openstack.setServer(named('web-2')!.id, { status: 'PAUSED', taskState: null })
      setTime(new Date(desk.world.clock().getTime() + 30 * 60_000).toISOString())
    },
  })
  expect([slow.code, slow.err.split('\n').at(-1)]).toEqual([1, `ERROR (RESTORE_UNFINISHED): The server is not restored after an hour; it is PAUSED. It goes on in the cloud: openstack server show ${named('web-2')!.id}`])

  let heal = () => {}
  const away = await desk.run(['restore', name, '--new', 'web-3', '--yes'], atFirstProgress(() => {
    heal = desk.world.openstack.fault({ service: 'compute', then: { status: 503 } })
  }))
  heal()
  expect(away.code).toBe(1)
  expect(away.err.split('\n').at(-1)).toMatch(new RegExp(`^ERROR \\(RESTORE_UNFINISHED\\): The restore can no longer be watched: .* was answered 503.* It goes on in the cloud: openstack server show ${named('web-3')!.id}$`))
})

test('a request whose answer is lost is not sent again, and says where to look', async () => {
  const { server, name } = await scheduled()
  desk.world.openstack.fault({ service: 'compute', method: 'POST', path: /servers/, then: 'lose-answer' })
  const made = await desk.run(['restore', name, '--new', 'web-2', '--yes'])
  expect([made.code, made.err.split('\n').at(-1)]).toEqual([1, expect.stringMatching(/^ERROR \(ANSWER_LOST\): The new server may have been made all the same\. .* Look before you try again: openstack server list$/)])
  const rebuilt = await desk.run(['restore', name, '--rebuild', 'web-1', '--yes'])
  expect([rebuilt.code, rebuilt.err.split('\n').at(-1)]).toEqual([1, expect.stringMatching(new RegExp(`^ERROR \\(ANSWER_LOST\\): The rebuild may have begun all the same\\. .* Look before you try again: openstack server show ${server.id}$`))])
  expect(asked()).toHaveLength(2)
})

test('Ctrl-C while a request is under way: what came of it is said all the same', async () => {
  const { name } = await scheduled()
  const controller = new AbortController()
  desk.world.openstack.fault({ service: 'compute', method: 'POST', path: /servers$/, then: { delayMs: 300, status: 403, body: { forbidden: { code: 403, message: 'Quota exceeded for instances: Requested 1, but already used 1 of 1 instances' } } } })
  const running = desk.run(['restore', name, '--new', 'web-2', '--yes'], { interrupted: controller.signal })
  while (asked().length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  controller.abort()
  expect(await running).toMatchObject({ code: 130, err: expect.stringMatching(/ERROR \(RESTORE_REFUSED\): The new server was refused, and none was made\. Nova says: Quota exceeded for instances.*$/) as unknown })
})

test('a cloud that is down, and credentials that are not there', async () => {
  const { name } = await scheduled()
  const start = desk.world.openstack.stop('keystone')
  const down = await desk.run(['restore', name, '--new', 'web-2', '--yes'])
  expect([down.code, down.out, down.err]).toEqual([1, '', expect.stringMatching(/^ERROR \(CLOUD_\w+\): /)])
  start()
  const nobody = await desk.run(['--cloud', 'nobody', 'restore', name, '--new', 'web-2', '--yes'])
  expect([nobody.code, nobody.out, nobody.err]).toEqual([1, '', expect.stringMatching(/^ERROR \(CREDENTIALS_MISSING\): Cloud "nobody" was not found: /)])
  expect(asked()).toEqual([])
})

test('the image that is to be restored outlives the one that is advised before it', async () => {
  const server = desk.world.openstack.addServer(desk.world.project, { name: 'web-1' })
  setTime('2026-11-01T00:00:00Z')
  await desk.run(['snapshot', '--rotation', '1', '--wait', 'web-1'])
  const image = desk.world.openstack.images().find(({ properties }) => properties['instance_uuid'] === server.id)
  setTime('2026-11-02T00:00:00Z')
  const { err } = await desk.run(['restore', image!.id, '--rebuild', 'web-1', '--dry-run'])
  const advised = /take one first: scheduled-images (.*)$/m.exec(err)![1]!.split(' ')
  expect(await desk.run([...advised, '--wait'])).toMatchObject({ code: 0 })
  for (const time of ['00:15', '00:30']) {
    setTime(`2026-11-02T${time}:00Z`)
    await desk.run(['prune'])
  }
  expect(desk.world.openstack.images().map(({ id }) => id)).toContain(image!.id)
})
