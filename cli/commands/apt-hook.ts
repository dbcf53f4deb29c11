import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { InvalidArgumentError, type Command } from 'commander'
import { ScheduledImagesError } from '../../lib/model/errors.ts'
import type { Run } from '../../lib/model/run.ts'
import { manualName } from '../../lib/runner/manual.ts'
import { reserveMs } from '../../lib/runner/ports.ts'
import type { Context } from '../context.ts'
import { failureText } from '../failure.ts'
import { awaitImage, findSubject, isInFlight, rotation, takeImage, type Subject } from '../manual-image.ts'

const type = 'apt'
/** Where apt looks for it, below the root directory. Its name sorts before others', so it comes before their hooks. */
const hookPath = 'etc/apt/apt.conf.d/00scheduled-images'
/** So long apt waits at most until the disk is copied. */
const patienceMs = 10 * 60_000
/** What says where credentials are and holds none itself. apt often runs by sudo, which clears them. */
const carriedVariables = ['OS_CLIENT_CONFIG_FILE', 'OS_CLOUD', 'AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE', 'AWS_PROFILE', 'AWS_REGION', 'AWS_DEFAULT_REGION', 'SCHEDULED_IMAGES_METADATA_URL']
const fileVariables = new Set(['OS_CLIENT_CONFIG_FILE', 'AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE'])

interface HookOptions {
  readonly rotation: number
  readonly server?: string
  readonly required?: true
  readonly every: number
}

/** An image before dpkg changes anything, by apt's own hook. */
export function registerAptHook(program: Command, context: () => Context): void {
  const group = program
    .command('apt-hook')
    .summary('make an image before apt changes packages')
    .description('Has apt make an image of type apt of the server that it runs on, before it lets dpkg change any package.')
  const describe = (command: Command) =>
    command
      .option('--rotation <count>', 'how many good images of type apt are kept', rotation, 5)
      .option('--server <server>', 'name or UUID; without it the server on which apt runs')
      .option('--required', 'stop apt when no image can be made; without it, apt is warned and goes on')
      .option('--every <minutes>', 'an image that is not older will do: apt may call dpkg several times', minutes, 10)
  describe(group.command('install'))
    .summary('write the hook')
    .description(`Writes /${hookPath}. The hook has the absolute paths of this command and of the files that it is given, and the options --local, --stage and --cloud.`)
    .option('--root <dir>', 'the root directory of the system', '/')
    .addHelpText('after', `
Examples:
  scheduled-images --local /var/lib/scheduled-images apt-hook install --rotation 5
  scheduled-images --local /var/lib/scheduled-images apt-hook install --server web-1 --required`)
    .action((options: HookOptions & { readonly root: string }) => install(options, context()))
  group
    .command('remove')
    .summary('remove the hook')
    .description(`Removes /${hookPath}. The images stay.`)
    .option('--root <dir>', 'the root directory of the system', '/')
    .addHelpText('after', `
Examples:
  scheduled-images apt-hook remove`)
    .action(({ root }: { readonly root: string }) => remove(root, context()))
  describe(group.command('run'))
    .summary('make the image: what the hook runs')
    .description('Makes an image of type apt, and waits until its disk is copied: what dpkg changes then is not in it. What the hook runs.')
    .addHelpText('after', `
Examples:
  scheduled-images --local /var/lib/scheduled-images apt-hook run --server web-1`)
    .action((options: HookOptions) => run(options, context()))
}

function install(options: HookOptions & { readonly root: string }, context: Context): void {
  const path = join(resolve(options.root), hookPath)
  const text = hookText(options, context)
  if (readHook(path) === text) return context.terminal.note(`${path} is there already.`)
  change(path, () => writeFileSync(path, text, { mode: 0o644 }))
  context.terminal.note(`${path} is written: apt makes an image before it changes packages, and the newest ${options.rotation} are kept.`)
  if (context.env['OS_AUTH_URL'] !== undefined && context.env['OS_CLOUD'] === undefined) {
    context.terminal.note('WARNING: the credentials in OS_ variables are not written into the hook. Put them into a clouds.yaml that apt will find.')
  }
}

function remove(root: string, { terminal }: Context): void {
  const path = join(resolve(root), hookPath)
  const isThere = readHook(path) !== undefined
  change(path, () => rmSync(path, { force: true }))
  terminal.note(isThere ? `${path} is removed.` : `${path} is not there.`)
}

function readHook(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function change(path: string, act: () => void): void {
  try {
    act()
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such directory: is this a system with apt?' : `${(error as Error).message}; run it as root.`
    throw new ScheduledImagesError('CONFIGURATION_INVALID', `${path} cannot be changed: ${why}`, { cause: error })
  }
}

/** @throws ScheduledImagesError `CONFIGURATION_INVALID` for what apt's configuration cannot hold. */
function hookText({ rotation, server, required, every }: HookOptions, { options: { local, stage, cloud }, env }: Context): string {
  const variables = carriedVariables.flatMap((name) => {
    const value = env[name]
    return value === undefined ? [] : [`${name}=${shellWord(fileVariables.has(name) ? resolve(value) : value)}`]
  })
  const words = [
    process.execPath, fileURLToPath(new URL('../scheduled-images.js', import.meta.url)),
    ...(local === undefined ? ['--stage', stage] : ['--local', resolve(local)]),
    ...(cloud === 'default' ? [] : ['--cloud', cloud]),
    'apt-hook', 'run', '--rotation', String(rotation), '--every', String(every),
    ...(server === undefined ? [] : ['--server', server]),
    ...(required ? ['--required'] : []),
  ]
  // Without --required apt goes on even where the command itself is gone.
  const command = [...variables, ...words.map(shellWord), ...(required ? [] : ['|| true'])].join(' ')
  if (/["\n\r\0]/.test(command)) throw new ScheduledImagesError('CONFIGURATION_INVALID', `apt's configuration cannot hold quotation marks or line breaks, and the hook would be: ${command}`)
  return `// Written by "scheduled-images apt-hook install"; "scheduled-images apt-hook remove" takes it away.\nDPkg::Pre-Invoke { "${command}"; };\n`
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll('\'', String.raw`'\''`)}'`
}

function minutes(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of minutes.')
  return Number(text)
}

async function run(options: HookOptions, context: Context): Promise<void> {
  try {
    await takeBefore(options, context)
  } catch (error) {
    if (options.required || context.terminal.interrupted.aborted) throw error
    context.terminal.note(failureText(error, false).replace('ERROR', 'WARNING'))
    context.terminal.note('WARNING: no image was made, and apt goes on without.')
  }
}

async function takeBefore({ server, rotation, every }: HookOptions, context: Context): Promise<void> {
  const { terminal, clock } = context
  const subject = await findSubject(server, context)
  const recent = await findRecent(subject, new Date(clock().getTime() - every * 60_000))
  if (recent) return terminal.note(`INFO: ${recent.imageName} will do: it was begun less than ${every} minutes ago.`)
  terminal.note('INFO: Start OpenStack snapshot creation.')
  const interruptible = context.tick(clock())
  const patientUntil = clock().getTime() + patienceMs
  const tick = { now: interruptible.now, timeLeftMs: () => Math.min(interruptible.timeLeftMs(), patientUntil - clock().getTime()) }
  try {
    const { run } = await takeImage(subject, type, rotation, tick, context)
    if (!run) return
    if (isInFlight(run)) await awaitImage(run, 'captured', subject, tick, context)
    if (terminal.interrupted.aborted) return terminal.note(`The image goes on being made; scheduled-images history ${subject.server.name} shows what becomes of it.`)
    if (tick.timeLeftMs() < reserveMs) throw new ScheduledImagesError('IMAGE_STUCK', `The disk of server "${subject.server.name}" is not copied after ${patienceMs / 60_000} minutes; the image goes on being made.`)
    terminal.note(`SUCCESS: Backup image created: ${run.imageName} (${run.image}).`)
  } finally {
    await subject.installation.flush()
  }
}

/** The image of an earlier dpkg of the same run of apt. */
async function findRecent({ installation, server }: Subject, since: Date): Promise<Run | undefined> {
  const schedule = `manual/${manualName({ server: server.id, type })}`
  const runs = await installation.ports.runs.history(server.id)
  return runs.find((run) => run.schedule === schedule && run.startedAt > since && (run.status === 'good' || run.status === 'saving'))
}
