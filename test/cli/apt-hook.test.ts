import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ServerSeed } from '../../demo/openstack/simulator.ts'
import { useDesk } from '../support/cli.ts'

const desk = useDesk()
const script = fileURLToPath(new URL('../../cli/scheduled-images.js', import.meta.url))
const add = (seed: Partial<ServerSeed> = {}) => desk.world.openstack.addServer(desk.world.project, { name: 'web-1', ...seed }).id
const pass = (seconds: number) => desk.world.setClock(new Date(desk.world.clock().getTime() + seconds * 1000))
const images = () => desk.world.openstack.images().filter(({ properties }) => properties['scheduled_images__run'] !== undefined).map(({ name }) => name)
const isThere = (program: string) => spawnSync(program, ['--version']).status === 0
const isRoot = process.getuid?.() === 0

let root: string
let hook: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'apt-root-'))
  hook = join(root, 'etc/apt/apt.conf.d/00scheduled-images')
  mkdirSync(dirname(hook), { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true }))

describe('install and remove', () => {
  test('the hook holds absolute paths, and asking twice changes nothing', async () => {
    expect(await desk.run(['apt-hook', 'install', '--root', root])).toEqual({ code: 0, out: '', err: `${hook} is written: apt makes an image before it changes packages, and the newest 5 are kept.` })
    const text = readFileSync(hook, 'utf8')
    expect(text.split('\n')[1]).toBe(`DPkg::Pre-Invoke { "${process.execPath} ${script} --local ${desk.directory} apt-hook run --rotation 5 --every 10 || true"; };`)
    expect(await desk.run(['apt-hook', 'install', '--root', root])).toMatchObject({ code: 0, err: `${hook} is there already.` })
    expect(readFileSync(hook, 'utf8')).toBe(text)
    await desk.run(['apt-hook', 'install', '--root', root, '--rotation', '2'])
    expect(readFileSync(hook, 'utf8')).toBe(text.replace('--rotation 5', '--rotation 2'))
  })

  test('remove leaves nothing, and need not be asked for once', async () => {
    await desk.run(['apt-hook', 'install', '--root', root])
    expect(await desk.run(['apt-hook', 'remove', '--root', root])).toMatchObject({ code: 0, err: `${hook} is removed.` })
    expect(readdirSync(dirname(hook))).toEqual([])
    expect(await desk.run(['apt-hook', 'remove', '--root', root])).toMatchObject({ code: 0, err: `${hook} is not there.` })
  })

  test('a system without apt is told of', async () => {
    const none = join(root, 'none')
    expect(await desk.run(['apt-hook', 'install', '--root', none])).toMatchObject({ code: 1, err: `ERROR (CONFIGURATION_INVALID): ${none}/etc/apt/apt.conf.d/00scheduled-images cannot be changed: there is no such directory: is this a system with apt?` })
  })

  test('what apt\'s configuration cannot hold is refused', async () => {
    expect(await desk.run(['apt-hook', 'install', '--root', root, '--server', 'web "1"'])).toMatchObject({ code: 1, err: expect.stringContaining('cannot hold quotation marks') as string })
    expect(existsSync(hook)).toBe(false)
  })

  test('where the credentials are goes into the hook, and what they are does not', async () => {
    const env = { OS_CLOUD: 'my cloud', OS_CLIENT_CONFIG_FILE: '/etc/clouds.yaml', OS_PASSWORD: 'not-for-the-hook' }
    await desk.run(['--cloud', 'beta', 'apt-hook', 'install', '--root', root, '--server', "ann's", '--required', '--every', '0'], { env })
    expect(readFileSync(hook, 'utf8').split('\n')[1]).toBe(`DPkg::Pre-Invoke { "OS_CLIENT_CONFIG_FILE=/etc/clouds.yaml OS_CLOUD='my cloud' ${process.execPath} ${script} --local ${desk.directory} --cloud beta apt-hook run --rotation 5 --every 0 --server 'ann'\\''s' --required"; };`)
    expect((await desk.run(['apt-hook', 'install', '--root', root], { env: { OS_AUTH_URL: 'http://k', OS_PASSWORD: 'not-for-the-hook' } })).err).toContain('WARNING: the credentials in OS_ variables are not written into the hook.')
    expect(readFileSync(hook, 'utf8')).not.toContain('not-for-the-hook')
  })

  test.skipIf(!isThere('apt-config'))('a real apt reads it, with every quote', async () => {
    await desk.run(['apt-hook', 'install', '--root', root, '--server', "ann's  server; $(reboot) // {}"])
    const { stdout, stderr } = spawnSync('apt-config', ['dump', '--format', '%f=%v%n', 'DPkg::Pre-Invoke'], { encoding: 'utf8', env: { ...process.env, APT_CONFIG: hook } })
    expect(stderr).toBe('')
    const command = stdout.split('\n').find((line) => line.startsWith('DPkg::Pre-Invoke::='))!.slice('DPkg::Pre-Invoke::='.length)
    const words = spawnSync('sh', ['-c', command.replace(process.execPath, String.raw`printf '%s\n'`)], { encoding: 'utf8' }).stdout.split('\n')
    expect(words.slice(0, -1)).toEqual([script, '--local', desk.directory, 'apt-hook', 'run', '--rotation', '5', '--every', '10', '--server', "ann's  server; $(reboot) // {}"])
  })
})

describe('run', () => {
  const lines = async (...args: string[]) => (await desk.run(['apt-hook', 'run', '--server', 'web-1', ...args], { onProgress: () => pass(3) })).err.split('\n').filter((line) => /^[A-Z]+[ :]/.test(line))

  test('it waits until the disk is copied, and not until it is uploaded', async () => {
    add({ metadata: { lab_delay: '20', lab_upload: '600' } })
    expect(await lines()).toEqual(['INFO: Start OpenStack snapshot creation.', expect.stringMatching(/^SUCCESS: Backup image created: Apt-web-1-\d+ \([0-9a-f-]+\)\.$/)])
    expect(desk.world.openstack.images().at(-1)).toMatchObject({ status: 'saving' })
  })

  test('a further dpkg of the same apt makes no further image', async () => {
    add()
    await lines()
    pass(300)
    expect(await lines()).toEqual([expect.stringMatching(/^INFO: Apt-web-1-\d+ will do: it was begun less than 10 minutes ago\.$/)])
    expect(images()).toHaveLength(1)
    pass(301)
    await lines()
    expect(images()).toHaveLength(2)
    pass(60)
    await lines('--every', '0')
    expect(images()).toHaveLength(3)
  })

  test('an image that failed does not count', async () => {
    const id = add()
    desk.world.openstack.setServer(id, { taskState: 'rebuilding' })
    await lines()
    desk.world.openstack.setServer(id, { taskState: null })
    pass(60)
    await lines()
    expect(images()).toHaveLength(1)
  })

  test('without --required a failure is a warning, and apt goes on', async () => {
    desk.world.openstack.setServer(add(), { taskState: 'rebuilding' })
    expect(await desk.run(['apt-hook', 'run', '--server', 'web-1'])).toMatchObject({
      code: 0, err: expect.stringContaining('WARNING (SERVER_BUSY): Server "web-1" is busy (rebuilding); try again when it is not.\nWARNING: no image was made, and apt goes on without.') as string,
    })
  })

  test('with --required it is an error', async () => {
    desk.world.openstack.setServer(add(), { taskState: 'rebuilding' })
    expect(await desk.run(['apt-hook', 'run', '--required', '--server', 'web-1'])).toMatchObject({ code: 1, err: expect.stringContaining('ERROR (SERVER_BUSY)') as string })
  })

  test('a disk that takes too long to copy is not waited for any longer', async () => {
    add({ metadata: { lab_delay: '7200' } })
    const { code, err } = await desk.run(['apt-hook', 'run', '--required', '--server', 'web-1'], { onProgress: () => pass(30) })
    expect({ code, last: err.split('\n').at(-1) }).toEqual({ code: 1, last: 'ERROR (IMAGE_STUCK): The disk of server "web-1" is not copied after 10 minutes; the image goes on being made.' })
  })

  test('Ctrl-C stops apt too', async () => {
    add({ metadata: { lab_delay: '7200' } })
    const interruption = new AbortController()
    expect(await desk.run(['apt-hook', 'run', '--server', 'web-1'], { interrupted: interruption.signal, onProgress: () => interruption.abort() })).toMatchObject({ code: 130, err: expect.stringContaining('The image goes on being made') as string })
  })
})

/** Installs a package of one file into the root directory, by the machine's own apt and dpkg; without a network. */
async function install(version: string): Promise<{ status: number | null; output: string }> {
  const source = join(root, 'source')
  rmSync(source, { recursive: true, force: true })
  mkdirSync(join(source, 'DEBIAN'), { recursive: true })
  mkdirSync(join(source, 'opt'))
  chmodSync(source, 0o755)
  writeFileSync(join(source, 'opt/changed-by-dpkg'), version)
  writeFileSync(join(source, 'DEBIAN/control'), `Package: changed-by-dpkg\nVersion: ${version}\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a file\n`)
  const archive = join(root, `changed-by-dpkg_${version}_all.deb`)
  expect(spawnSync('dpkg-deb', ['--build', '--root-owner-group', source, archive]).status).toBe(0)
  for (const folder of ['var/lib/dpkg/info', 'var/lib/dpkg/updates', 'var/lib/apt/lists/partial', 'var/cache/apt/archives/partial', 'var/log/apt', 'etc/apt/preferences.d', 'etc/apt/sources.list.d', 'etc/apt/trusted.gpg.d']) mkdirSync(join(root, folder), { recursive: true })
  writeFileSync(join(root, 'var/lib/dpkg/status'), existsSync(join(root, 'var/lib/dpkg/status')) ? readFileSync(join(root, 'var/lib/dpkg/status')) : '')
  // The root directory's own configuration alone, from the very beginning.
  const configuration = join(root, 'apt.conf')
  writeFileSync(configuration, `Dir "${root}/";\nDir::State::status "${root}/var/lib/dpkg/status";\nDir::Bin::dpkg "/usr/bin/dpkg";\nDir::Bin::methods "/usr/lib/apt/methods";\nDPkg::Options { "--root=${root}"; };\nAPT::Sandbox::User "root";\n`)
  const child = spawn('apt-get', ['install', '--yes', '--allow-unauthenticated', archive], { env: { ...process.env, APT_CONFIG: configuration, DEBIAN_FRONTEND: 'noninteractive' } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)))
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  desk.written.push(output)
  return { status, output }
}

const isDebian = isRoot && isThere('apt-get') && isThere('dpkg-deb')

// It takes root, since dpkg changes its root directory.
describe.skipIf(!isDebian)('with a real apt', { timeout: 60_000 }, () => {
  let clock: NodeJS.Timeout
  beforeEach(() => {
    // The hook is a process of its own, with the machine's clock.
    desk.world.setClock(new Date())
    clock = setInterval(() => desk.world.setClock(new Date()), 100)
  })
  afterEach(() => clearInterval(clock))
  const content = () => readFileSync(join(root, 'opt/changed-by-dpkg'), 'utf8')

  test('an image is made before dpkg changes anything, and once for several of its calls', async () => {
    add()
    await desk.run(['apt-hook', 'install', '--root', root, '--server', 'web-1'])
    const first = await install('1')
    expect(first).toMatchObject({ status: 0 })
    expect(first.output).toMatch(/SUCCESS: Backup image created: Apt-web-1-\d+[^]*Unpacking changed-by-dpkg/)
    expect(await install('2')).toMatchObject({ status: 0, output: expect.stringContaining('will do: it was begun less than 10 minutes ago') as string })
    expect([content(), images().length]).toEqual(['2', 1])
  })

  test('where no image can be made apt is warned and goes on; with --required it stops', async () => {
    await desk.run(['apt-hook', 'install', '--root', root, '--server', 'web-1'])
    expect(await install('1')).toMatchObject({ status: 0, output: expect.stringContaining('WARNING (SERVER_NOT_FOUND): No server with a name or ID of "web-1" exists.') as string })
    await desk.run(['apt-hook', 'install', '--root', root, '--server', 'web-1', '--required'])
    const stopped = await install('2')
    expect(stopped.status).toBe(100)
    expect(stopped.output).toContain('ERROR (SERVER_NOT_FOUND)')
    expect(content()).toBe('1')
  })

  test('once the hook is removed, apt makes no image', async () => {
    add()
    await desk.run(['apt-hook', 'install', '--root', root, '--server', 'web-1'])
    await desk.run(['apt-hook', 'remove', '--root', root])
    expect(await install('1')).toMatchObject({ status: 0 })
    expect(images()).toEqual([])
  })
})
