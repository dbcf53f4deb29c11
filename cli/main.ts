import { Command, CommanderError, Option } from 'commander'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { TerminalEdges } from '../lib/installation.ts'
import { registerAptHook } from './commands/apt-hook.ts'
import { registerCheck } from './commands/check.ts'
import { registerCloud } from './commands/cloud.ts'
import { registerCompletion } from './commands/completion.ts'
import { registerDisable } from './commands/disable.ts'
import { registerDoctor } from './commands/doctor.ts'
import { registerEnable } from './commands/enable.ts'
import { registerExplain } from './commands/explain.ts'
import { registerHistory } from './commands/history.ts'
import { registerImages } from './commands/images.ts'
import { registerList } from './commands/list.ts'
import { registerNext } from './commands/next.ts'
import { registerProtect } from './commands/protect.ts'
import { registerRestore } from './commands/restore.ts'
import { registerRun } from './commands/run.ts'
import { registerShow } from './commands/show.ts'
import { registerSnapshot } from './commands/snapshot.ts'
import { createContext, type Context, type GlobalOptions } from './context.ts'
import { enterDemo, type DemoDirectory } from './demo-directory.ts'
import { ExitCode, exitCodes, failureText } from './failure.ts'
import { processTerminal, type Terminal } from './terminal.ts'

/** Adds a command to the program. `context` is there once the command's action runs. */
export type Register = (program: Command, context: () => Context) => void

/** As help shows them: in groups, and in each group in the order in which people need them. */
const groups: readonly (readonly [heading: string, commands: readonly Register[]])[] = [
  ['Schedules:', [registerEnable, registerDisable, registerShow, registerList, registerNext, registerExplain]],
  ['Images:', [registerImages, registerProtect, registerSnapshot, registerRestore, registerAptHook]],
  ['Runs:', [registerRun, registerHistory, registerCheck]],
  ['Set-up:', [registerDoctor, registerCloud, registerCompletion]],
]

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

/**
 * Runs one command line.
 *
 * @param args - Without node and the script.
 * @returns the exit code.
 */
export async function main(args: readonly string[], terminal: Terminal, edges: Omit<TerminalEdges, 'log'>): Promise<number> {
  let context: Context | undefined
  let demo: DemoDirectory | undefined
  let outlives = false
  let farewell: string | undefined
  const program = new Command('scheduled-images')
    .description('Automatic, rotating snapshots of the servers of any OpenStack cloud.')
    .addOption(new Option('--stage <stage>', 'the deployed stage').env('SCHEDULED_IMAGES_STAGE').default('dev'))
    .addOption(new Option('--local <dir>', 'no AWS: tables in DIR, credentials from clouds.yaml').env('SCHEDULED_IMAGES_LOCAL'))
    .addOption(new Option('--cloud <name>', 'which cloud').default('default'))
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('-v, --verbose', 'log each decision, and show where an unexpected error came from')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this')
    .configureHelp({
      showGlobalOptions: true,
      subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map((argument) => (argument.required ? `<${argument.name()}>` : `[${argument.name()}]`))].join(' '),
    })
    .configureOutput({
      writeOut: (text) => terminal.print(text.replace(/\n$/, '')),
      writeErr: (text) => terminal.note(text.replace(/\n$/, '')),
      getOutHelpWidth: () => terminal.columns ?? 100,
      getErrHelpWidth: () => terminal.columns ?? 100,
      getOutHasColors: () => terminal.colours,
      getErrHasColors: () => terminal.colours,
    })
    .addHelpText('after', `
Credentials of OpenStack are found as python-openstackclient finds them
(OS_CLOUD, OS_*, clouds.yaml), or in the stage's parameters; those of AWS as
the AWS CLI finds them.

Exit status: 0 done; 1 failed; 2 wrong usage; 130 interrupted. That of check is
Nagios': 0 OK, 1 warning, 2 critical, 3 unknown.

Examples:
  scheduled-images --local ./data enable --now web-1 7
  scheduled-images --stage prod list
  scheduled-images snapshot --help`)
    .exitOverride()
    .hook('preAction', async (_, command) => {
      const options = command.optsWithGlobals<GlobalOptions>()
      if (options.local !== undefined) demo = await enterDemo(options.local, edges, terminal)
      context = createContext(options, terminal, demo?.edges ?? edges, {
        onInterrupt: (words) => {
          farewell = words
        },
        outliveInterrupt: () => {
          outlives = true
        },
      })
    })
  for (const [heading, commands] of groups) {
    program.commandsGroup(heading)
    for (const register of commands) register(program, () => context!)
  }
  // Now, so that it is in the last group.
  program.helpCommand('help [command]', 'print the help of a command')
  pointToHelp(program, program.name())

  const interrupted = new Promise<'interrupted'>((resolve) => {
    const end = () => {
      if (!outlives) resolve('interrupted')
    }
    if (terminal.interrupted.aborted) end()
    else terminal.interrupted.addEventListener('abort', end, { once: true })
  })
  try {
    const ended = await Promise.race([program.parseAsync([...args], { from: 'user' }), interrupted])
    if (ended === 'interrupted' && farewell !== undefined) terminal.note(farewell)
    return terminal.interrupted.aborted ? exitCodes.interrupted : exitCodes.done
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    if (terminal.interrupted.aborted) return exitCodes.interrupted
    if (error instanceof ExitCode) return error.code
    terminal.note(failureText(error, args.includes('-v') || args.includes('--verbose')))
    return exitCodes.failed
  } finally {
    terminal.progress(undefined)
    await demo?.leave().catch((error: unknown) => terminal.note(failureText(error, false)))
  }
}

/** What is wrong is said in a line; what would be right, in the command's own help. */
function pointToHelp(command: Command, words: string): void {
  command.showHelpAfterError(`(${words} --help shows how)`)
  for (const child of command.commands) pointToHelp(child, `${words} ${child.name()}`)
}

/** The command of this process. */
export async function run(): Promise<void> {
  const interruption = new AbortController()
  process.on('SIGINT', () => {
    // The second Ctrl-C is meant.
    if (interruption.signal.aborted) process.exit(exitCodes.interrupted)
    interruption.abort()
  })
  // A reader that has seen enough, `| head` for one.
  process.stdout.on('error', () => process.exit())
  const code = await main(process.argv.slice(2), processTerminal(interruption.signal), { env: process.env, clock: () => new Date(), newId: randomUUID })
  // Connections that are kept alive would hold the process.
  process.exit(code)
}
