import type { Command } from 'commander'
import { hasCode, ScheduledImagesError } from '../../lib/model/errors.ts'
import { marks } from '../../lib/model/image.ts'
import type { ServerDetails } from '../../lib/model/server.ts'
import { isUuid } from '../../lib/model/uuid.ts'
import type { NewServerWish, RestorePlan } from '../../lib/planner/restore.ts'
import { beginRestore, preflightNewServer, preflightRebuild, untilRestored } from '../../lib/runner/restore.ts'
import type { Context } from '../context.ts'
import { ExitCode, exitCodes, failureText } from '../failure.ts'
import { findImage } from '../image.ts'
import { findServer } from '../server.ts'

interface Options {
  readonly new?: string
  readonly rebuild?: string
  readonly flavor?: string
  readonly network?: readonly string[]
  readonly keyName?: string
  readonly volumeType?: string
  readonly availabilityZone?: string
  readonly securityGroup?: readonly string[]
  readonly yes?: true
  readonly dryRun?: true
}

type Target = { readonly kind: 'new'; readonly wish: NewServerWish } | { readonly kind: 'rebuild'; readonly server: string }

/** What goes with `--new` only. */
const ofNewServers = { flavor: '--flavor', network: '--network', keyName: '--key-name', volumeType: '--volume-type', availabilityZone: '--availability-zone', securityGroup: '--security-group' } as const

/** Makes a server of an image, or puts an image back on the server that it is of. */
export function registerRestore(program: Command, context: () => Context): void {
  const command = program
    .command('restore')
    .summary('make a server of an image, or put one back')
    .description('Restores an image: as a new server, or on the root disk of one that there is. First it looks at everything that could stand against it; then it says what it would do, and asks.')
    .argument('<image>', 'UUID or exact name')
    .option('--new <name>', 'make a new server of this name')
    .option('--rebuild <server>', 'overwrite the root disk of this server (name or UUID)')
    .option('--flavor <flavor>', 'of the new server (name or id); default that of the server which the image is of')
    .option('--network <id>', "a network's UUID, for several say it again; or auto or none; default the project's only one", (value: string, previous: readonly string[] = []) => [...previous, value])
    .option('--key-name <name>', 'SSH key of the new server')
    .option('--volume-type <type>', 'of the new volumes of a volume-backed server')
    .option('--availability-zone <zone>', 'of the new server')
    .option('--security-group <group>', 'for several say it again', (value: string, previous: readonly string[] = []) => [...previous, value])
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'look and say what would be done, and touch nothing')
    .addHelpText('after', `
Examples:
  scheduled-images restore Daily-web-1-1795222800 --new web-1-restored
  scheduled-images restore --new db-2 --flavor m1.large --key-name ops 8a5c1d52-0d31-4f43-a3a8-8ab0d4e51f10
  scheduled-images restore Daily-web-1-1795222800 --rebuild web-1`)
  command.action((image: string, options: Options) => restore(image, targetOf(options, command), options, context()))
}

async function restore(given: string, target: Target, { yes, dryRun }: Options, context: Context): Promise<void> {
  const { terminal, clock, options } = context
  context.onInterrupt('Interrupted. Nothing was touched.')
  const { ports } = context.open()
  const cloud = await context.enter(ports)
  const image = await findImage(given, cloud)
  const plan = target.kind === 'new' ? await preflightNewServer(image, target.wish, cloud, clock()) : await preflightRebuild(image, (await findServer(target.server, cloud)).id, cloud, clock())
  const show = (server?: ServerDetails) => context.show(jsonOf(target, plan, server), () => (server ? `Server "${server.name}" (${server.id}) is restored, and ${server.status}.` : ''))

  const { order } = plan
  if (!order) {
    if (options.output === 'json') show()
    throw new ScheduledImagesError('RESTORE_REFUSED', [...plan.findings.map(({ message }) => message), 'Nothing was touched.'].join(' '))
  }
  const steps = plan.steps.map((step) => `- ${step}`).join('\n')
  if (!dryRun) terminal.note(steps)
  for (const { code, message } of plan.findings) terminal.note(`WARNING (${code}): ${message}`)
  if (dryRun) {
    context.show(jsonOf(target, plan, undefined), () => steps)
    return terminal.note('Dry run: nothing was touched.')
  }
  if (!yes && !(await terminal.confirm(order.kind === 'new' ? `Make server "${order.server.name}"?` : `Overwrite server "${order.server.name}"?`))) {
    terminal.note('Nothing was touched.')
    throw new ExitCode(exitCodes.failed)
  }
  // From here on it would go on in the cloud whatever happens to this process.
  context.outliveInterrupt()
  if (terminal.interrupted.aborted) return
  try {
    const id = await beginRestore(order, cloud)
    terminal.note(order.kind === 'new' ? `Server "${order.server.name}" (${id}) is being made.` : `Server "${order.server.name}" (${id}) is being rebuilt.`)
    const began = clock().getTime()
    const progress = (state: string) => terminal.progress(`${order.server.name}: ${state}, ${Math.round((clock().getTime() - began) / 1000)} s`)
    const server = await untilRestored(id, order, cloud, { clock, sleep: ports.sleep, interrupted: terminal.interrupted, progress })
    if (server) show(server)
    else terminal.note(`Interrupted. The restore goes on in the cloud: openstack server show ${id}`)
  } catch (error) {
    // An interrupted command ends without a word otherwise.
    if (terminal.interrupted.aborted && hasCode(error)) terminal.note(failureText(error, false))
    throw error
  }
}

/** What is wanted, or wrong usage. */
function targetOf(options: Options, command: Command): Target {
  const { new: name, rebuild: server, network } = options
  const wrong = (message: string): never => command.error(`error: ${message}`)
  if ((name === undefined) === (server === undefined)) return wrong('say either --new NAME or --rebuild SERVER')
  if (server !== undefined) {
    const idle = Object.entries(ofNewServers).find(([option]) => options[option as keyof typeof ofNewServers] !== undefined)
    return idle ? wrong(`${idle[1]} goes with --new only: a rebuilt server keeps what it has`) : { kind: 'rebuild', server }
  }
  if (name!.trim() !== name || name.length === 0 || name.length > 255) return wrong(`--new takes a name of 1 to 255 characters, without space at either end, not "${name}"`)
  const odd = network?.find((one) => !isUuid(one) && !(network.length === 1 && ['auto', 'none'].includes(one)))
  if (odd !== undefined) return wrong(`--network takes the UUIDs of networks, or auto or none by itself, not "${odd}" ("openstack network list" shows the UUIDs)`)
  return {
    kind: 'new',
    wish: {
      name, flavor: options.flavor, networks: network?.[0] === 'auto' || network?.[0] === 'none' ? network[0] : network, keyName: options.keyName,
      volumeType: options.volumeType, availabilityZone: options.availabilityZone, securityGroups: options.securityGroup ?? [],
    },
  }
}

function jsonOf({ kind }: Target, { image, findings, steps }: RestorePlan, server: ServerDetails | undefined): unknown {
  const { id, name, createdAt, properties } = image
  return {
    kind,
    image: { id, name, createdAt, server: properties[marks.server], schedule: properties[marks.schedule], period: properties[marks.period] },
    findings,
    steps,
    server: server && { id: server.id, name: server.name, status: server.status },
  }
}
