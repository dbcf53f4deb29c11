import { openDirectory, openStage, type KeptInstallation, type TerminalEdges } from '../lib/installation.ts'
import type { Tick } from '../lib/runner/ports.ts'
import { reserveMs } from '../lib/runner/ports.ts'
import { terminalLog } from './log.ts'
import type { Terminal } from './terminal.ts'

/** What stands behind every command. */
export interface GlobalOptions {
  readonly stage: string
  readonly local?: string
  readonly cloud: string
  readonly output: 'table' | 'json'
  readonly verbose?: true
}

/** What a command works with. */
export interface Context {
  readonly terminal: Terminal
  readonly options: GlobalOptions
  readonly env: TerminalEdges['env']
  readonly clock: () => Date
  /** Opens the stage or directory that the user named. Nothing is asked of it, or of a cloud, before the first call. */
  open(options?: { readonly dryRun?: boolean | undefined }): KeptInstallation
  /** Enters a cloud of what was opened; by default the one that the user named. */
  enter(ports: Pick<KeptInstallation['ports'], 'clouds'>, cloud?: string): ReturnType<KeptInstallation['ports']['clouds']['open']>
  /** Prints an answer: `json` as one document where a machine reads, and `text()` otherwise. */
  show(json: unknown, text: () => string): void
  /** How long requests may still take: a day, and after Ctrl-C what finishes one that is under way. */
  timeLeftMs(): number
  /** A firing of a timer at a moment; Ctrl-C keeps it from beginning anything more, and what is begun is finished. */
  tick(now: Date): Tick
  /** What Ctrl-C makes the command say, as long as it ends it at once. */
  onInterrupt(words: string): void
  /** From now on the command itself sees to Ctrl-C; otherwise it ends at once. */
  outliveInterrupt(): void
}

/** Time is not short in a terminal. */
const unhurriedMs = 24 * 3_600_000

export function createContext(options: GlobalOptions, terminal: Terminal, edges: Omit<TerminalEdges, 'log'>, interrupts: Pick<Context, 'onInterrupt' | 'outliveInterrupt'>): Context {
  const { clock, env } = edges
  const log = terminalLog(terminal, clock, { verbose: options.verbose ?? false, json: options.output === 'json' })
  const timeLeftMs = () => (terminal.interrupted.aborted ? reserveMs - 1 : unhurriedMs)
  return {
    terminal,
    options,
    env,
    clock,
    open: ({ dryRun = false } = {}) =>
      options.local === undefined ? openStage(options.stage, options.cloud, { dryRun }, { ...edges, log }) : openDirectory(options.local, { dryRun }, { ...edges, log }),
    show: (json, text) => terminal.print(options.output === 'json' ? JSON.stringify(json, listsOfSets, 2) : text()),
    enter: ({ clouds }, cloud = options.cloud) => clouds.open(cloud, timeLeftMs),
    timeLeftMs,
    tick: (now) => ({ now, timeLeftMs }),
    ...interrupts,
  }
}

/** DynamoDB's sets of strings, in an item, are lists to everybody else. */
function listsOfSets(_: string, value: unknown): unknown {
  return value instanceof Set ? [...value] : value
}
