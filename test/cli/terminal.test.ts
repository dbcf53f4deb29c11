import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useDesk } from '../support/cli.ts'

const desk = useDesk()
const bin = join(import.meta.dirname, '../../cli/scheduled-images.js')
const bare = { PATH: process.env['PATH']!, HOME: '/nonexistent', AWS_EC2_METADATA_DISABLED: 'true' }

async function until(happened: () => boolean): Promise<void> {
  while (!happened()) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** Every command that asks the cloud, with arguments that it accepts. */
const asking = [
  ['enable', 'web-1', '1'], ['disable', 'web-1'], ['show', 'web-1'], ['list', '--without'], ['images', 'web-1'], ['protect', 'some-image'], ['unprotect', 'some-image'],
  ['explain', 'web-1'], ['history', 'web-1'],
]

/** The same; what else becomes of them is in tests of their own. */
const askingMore = [['doctor'], ['cloud', 'test', 'alpha'], ['snapshot', 'web-1'], ['snapshot', '--wait', 'web-1'], ['restore', 'some-image', '--new', 'web-2'], ['apt-hook', 'run', '--rotation', '5', '--server', 'web-1']]

test.each([...asking, ...askingMore])('Ctrl-C ends %s at once, with 130', async (...args) => {
  desk.world.openstack.addServer(desk.world.project, { name: 'web-1' })
  desk.world.openstack.fault({ service: 'identity', then: 'hang' })
  const interruption = new AbortController()
  const running = desk.run(args, { interrupted: interruption.signal })
  setTimeout(() => interruption.abort(), 50)
  expect((await running).code).toBe(130)
})

test.each(asking)('a cloud that is down fails %s with a sentence', async (...args) => {
  desk.world.openstack.stop('keystone')
  const { code, out, err } = await desk.run(args)
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(/^ERROR \(CLOUD_UNREACHABLE\): .*127\.0\.0\.1.*\.$/)
})

test.each(asking)('without credentials %s says where they were looked for', async (...args) => {
  unlinkSync(join(desk.directory, 'clouds.yaml'))
  const { code, out, err } = await desk.run(args)
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain(`ERROR (CREDENTIALS_MISSING): There is no clouds.yaml in ${desk.directory}/, `)
})

test.each<[args: string[], err: string]>([
  [['lists'], "error: unknown command 'lists'"],
  [['list', '--wihtout'], "error: unknown option '--wihtout'"],
  [['-o', 'xml', 'list'], "error: option '-o, --output <format>' argument 'xml' is invalid. Allowed choices are table, json."],
  [['show'], "error: missing required argument 'server'"],
  [['show', 'a', 'b'], 'error: too many arguments'],
])('wrong usage ends with 2 and says so: %j', async (args, err) => {
  const ran = await desk.run(args)
  expect(ran).toMatchObject({ code: 2, out: '' })
  expect(ran.err).toContain(err)
})

test('every command has a help that says what it does', async () => {
  const { code, out } = await desk.run(['--help'])
  expect(code).toBe(0)
  const names = [...out.split('\nExamples:')[0]!.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name]) => name!).filter((name) => name !== 'help')
  expect(names.length).toBeGreaterThan(10)
  for (const name of names) {
    const help = await desk.run([name, '--help'])
    expect(help.code).toBe(0)
    expect(help.out).toContain(`Usage: scheduled-images ${name}`)
    expect(help.out).toMatch(/\nGlobal Options:\n.*--local <dir>/s)
    expect(help.out).toMatch(name === 'cloud' || name === 'apt-hook' ? /\nCommands:\n/ : /\nExamples:\n {2}.*scheduled-images .*/)
  }
})

test('wrong usage of a command points to the help of that command', async () => {
  expect((await desk.run(['cloud', 'remove'])).err).toBe("error: missing required argument 'name'\n(scheduled-images cloud remove --help shows how)")
  expect((await desk.run(['lists'])).err).toContain('(scheduled-images --help shows how)')
})

test('--version prints the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { version: string }
  expect(await desk.run(['--version'])).toEqual({ code: 0, out: version, err: '' })
})

test('without a configuration of AWS it says what to configure', () => {
  const run = (env: Record<string, string>) => spawnSync(process.execPath, [bin, 'list'], { env: { ...bare, ...env }, encoding: 'utf8' })
  expect(run({})).toMatchObject({ status: 1, stdout: '', stderr: 'ERROR (AWS_ERROR): No AWS region is set. Set AWS_REGION, or the region of your profile; or work without AWS: --local DIR.\n' })
  expect(run({ AWS_REGION: 'eu-central-1' })).toMatchObject({ status: 1, stdout: '', stderr: 'ERROR (AWS_ERROR): No AWS credentials were found. Configure them as for the AWS CLI (AWS_PROFILE, aws configure), or work without AWS: --local DIR.\n' })
})

test('a stage that was not deployed is told of', async () => {
  const { code, err } = await desk.runDeployed(['list'], { env: { SCHEDULES_TABLE: 'nothing' } })
  expect([code, err]).toEqual([1, "ERROR (AWS_ERROR): The stage's tables do not exist in this account and region. Is --stage right, and was it deployed (npx serverless deploy --stage STAGE)?"])
})

test('Ctrl-C in a real terminal ends the real command with 130', async () => {
  desk.world.openstack.fault({ service: 'identity', then: 'hang' })
  const child = spawn(process.execPath, [bin, '--local', desk.directory, 'images', 'web-1'], { env: bare, stdio: 'ignore' })
  const exited = once(child, 'exit')
  await Promise.race([exited, until(() => desk.world.openstack.requests.length > 0)])
  child.kill('SIGINT')
  expect(await exited).toEqual([130, null])
})

test('a directory that cannot be used is named', async () => {
  const args = ['--local', '/dev/null/nothing', 'list']
  const { status, stderr } = spawnSync(process.execPath, [bin, ...args], { env: bare, encoding: 'utf8' })
  expect([status, stderr]).toEqual([1, expect.stringMatching(/^ERROR \(CONFIGURATION_INVALID\): The directory \/dev\/null\/nothing cannot be used for the tables: /)])
})

test.runIf(existsSync('/usr/bin/env'))('an older Node hands over to the one that npm installed', () => {
  const old = execFileSync('/usr/bin/env', ['bash', '-c', 'type -ap node'], { env: { PATH: process.env['PATH']! }, encoding: 'utf8' }).trim().split('\n').find((path) => !path.includes('node_modules'))
  if (old === undefined) return
  expect(execFileSync(old, [bin, '--help'], { env: bare, encoding: 'utf8' })).toContain('Usage: scheduled-images')
})
