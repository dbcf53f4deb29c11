import type { Command } from 'commander'
import { ScheduledImagesError } from '../../lib/model/errors.ts'
import type { Login } from '../../lib/model/examination.ts'
import type { KeptInstallation } from '../../lib/installation.ts'
import { allSchedules } from '../../lib/runner/items.ts'
import type { Context } from '../context.ts'
import { ExitCode, exitCodes } from '../failure.ts'
import { table, timeText } from '../table.ts'

type Entered = Awaited<ReturnType<KeptInstallation['keeper']['open']>>

interface AddOptions {
  readonly from?: string
  readonly entry?: string
  /** False for `--no-test`. */
  readonly test: boolean
  readonly yes?: true
}

/** The credentials of clouds: parameters of a stage, entries of clouds.yaml with `--local`. */
export function registerCloud(program: Command, context: () => Context): void {
  const command = program
    .command('cloud')
    .summary('keep the credentials of clouds')
    .description('Keeps the credentials of the clouds that schedules name: an encrypted parameter for each. No secret is ever printed.')
  command
    .command('add')
    .summary('store an entry of clouds.yaml as a cloud')
    .description('Looks whether an entry can be used, enters the cloud with it, and stores that entry alone. What secure.yaml says of it, and the certificates that it names, are stored with it.')
    .argument('<name>', 'what schedules call the cloud')
    .option('--from <file>', 'a clouds.yaml; without it credentials are found as python-openstackclient finds them')
    .option('--entry <entry>', 'the entry of that file; default the one that is called as the cloud, or the only one')
    .option('--no-test', 'do not enter the cloud first')
    .option('-y, --yes', 'replace what is stored without asking')
    .addHelpText('after', `
Examples:
  scheduled-images --stage prod cloud add default --from clouds.yaml --entry my-project
  OS_CLOUD=my-project scheduled-images --stage prod cloud add default`)
    .action((name: string, options: AddOptions) => add(name, options, context()))
  command
    .command('list')
    .summary('list the clouds')
    .description('Lists the clouds that have credentials, and where those are. No value is read.')
    .addHelpText('after', `
Examples:
  scheduled-images --stage prod cloud list`)
    .action(() => list(context()))
  command
    .command('test')
    .summary('enter a cloud, and say what is there')
    .description('Enters a cloud with the credentials that are kept for it, and says whose they are. See doctor for all the rest.')
    .argument('<name>', 'the cloud')
    .addHelpText('after', `
Examples:
  scheduled-images --stage prod cloud test default`)
    .action((name: string) => test(name, context()))
  command
    .command('remove')
    .summary('forget the credentials of a cloud')
    .description('Names the schedules that use a cloud, asks, and removes its credentials. Its images stay.')
    .argument('<name>', 'the cloud')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', `
Examples:
  scheduled-images --stage prod cloud remove berlin`)
    .action((name: string, { yes }: { yes?: true }) => remove(name, yes ?? false, context()))
}

async function add(name: string, { from, entry, test, yes }: AddOptions, context: Context): Promise<void> {
  const { terminal } = context
  const { keeper } = context.open()
  keeper.demandEditable(name)
  const found = keeper.entryFor(name, from, entry)
  const seen = test ? await lookAround(await keeper.tryEntry(name, found, context.timeLeftMs)) : undefined
  const present = (await keeper.list()).some((kept) => kept.name === name)
  if (present && !yes && !(await terminal.confirm(`Cloud "${name}" has credentials already. Replace them by ${found.source}?`))) {
    terminal.note('Nothing was changed.')
    throw new ExitCode(exitCodes.failed)
  }
  demandGoOn(context)
  await keeper.put(name, found.entry)
  context.show({ cloud: name, source: keeper.sourceOf(name), from: found.source, replaced: present, ...(seen && { project: seen.login.project, user: seen.login.user?.name, roles: seen.login.roles }) }, () =>
    [`Stored ${found.source} as ${keeper.sourceOf(name)}.`, ...(seen ? [`It is for project ${seen.login.project.name}, as ${whose(seen.login)}.`] : [])].join('\n'),
  )
}

async function list(context: Context): Promise<void> {
  const { keeper } = context.open()
  const clouds = await keeper.list()
  context.show(clouds, () => (clouds.length === 0 ? 'No cloud has credentials here.' : table(['CLOUD', 'CREDENTIALS'], clouds.map(({ name, source }) => [name, source]), context.terminal.columns)))
}

async function test(name: string, context: Context): Promise<void> {
  const { keeper } = context.open()
  const source = keeper.sourceOf(name)
  const { login, services, servers } = await lookAround(await keeper.open(name, context.timeLeftMs))
  const { project, roles, region, authUrl, tokenExpiresAt } = login
  context.show({ cloud: name, source, authUrl, project, user: login.user?.name, credentials: login.kind, roles, region, services, servers, tokenExpiresAt }, () =>
    table(['', ''], [
      ['Credentials', source],
      ['Keystone', `${authUrl}, a token until ${timeText(tokenExpiresAt)}`],
      ['User', whose(login)],
      ['Project', `${project.name} (${project.id})`],
      ['Roles', roles.join(', ') || 'none'],
      ['Region', region ?? 'the only one'],
      ['Nova', `${services.compute}, ${servers === 1 ? '1 server' : `${servers} servers`}`],
      ['Glance', services.image ?? 'none'],
      ['Cinder', services['block-storage'] ?? 'none: servers that boot from a volume cannot be kept'],
    ], undefined).split('\n').slice(1).join('\n'),
  )
}

async function remove(name: string, yes: boolean, context: Context): Promise<void> {
  const { terminal } = context
  const { keeper, ports } = context.open()
  keeper.demandEditable(name)
  if (!(await keeper.list()).some((kept) => kept.name === name)) throw new ScheduledImagesError('CLOUD_PARAMETER_MISSING', `Cloud "${name}" has no credentials here: there is no ${keeper.sourceOf(name)}.`)
  const items = await allSchedules(ports.schedules)
  const using = items.map((item) => (item.valid ? item.schedule : item.invalid)).filter(({ cloud }) => cloud === name).map(({ key }) => key)
  if (using.length > 0) {
    const shown = using.slice(0, 5).join(', ') + (using.length > 5 ? ` and ${using.length - 5} more` : '')
    terminal.note(`${using.length === 1 ? 'A schedule uses' : `${using.length} schedules use`} cloud "${name}" and will make no more images: ${shown}. Images that there are stay.`)
  }
  if (!yes && !(await terminal.confirm(`Remove ${keeper.sourceOf(name)}? Its secret cannot be brought back.`))) {
    terminal.note('Nothing was changed.')
    throw new ExitCode(exitCodes.failed)
  }
  demandGoOn(context)
  const removed = await keeper.remove(name)
  context.show({ cloud: name, removed, schedules: using }, () => (removed ? `Removed ${keeper.sourceOf(name)}.` : 'It was gone already.'))
}

/** After Ctrl-C nothing is changed any more. */
function demandGoOn({ terminal }: Context): void {
  if (terminal.interrupted.aborted) throw new ExitCode(exitCodes.interrupted)
}

async function lookAround(cloud: Entered): Promise<{ login: Login; services: Awaited<ReturnType<Entered['identity']['services']>>; servers: number }> {
  const [login, services, servers] = await Promise.all([cloud.identity.login(), cloud.identity.services(), cloud.compute.listServers()])
  return { login, services, servers: servers.length }
}

function whose({ kind, user, application }: Login): string {
  const name = user?.name ?? 'a user without a name'
  return application ? `${name}, by the application credential "${application.name}"` : `${name}, by ${kind}`
}
