import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TerminalEdges } from '../lib/installation.ts'
import { timeText } from './table.ts'
import type { Terminal } from './terminal.ts'

type Edges = Omit<TerminalEdges, 'log'>

/** A command's surroundings in a directory that `npm run demo` has left. */
export interface DemoDirectory {
  /** With the clock and the credentials of the demo's cloud. */
  readonly edges: Edges
  /** Puts the cloud away again. */
  leave(): Promise<void>
}

/** Sets the clock of the demo's cloud, which otherwise goes on only while something waits for it. */
const clockVariable = 'SCHEDULED_IMAGES_DEMO_CLOCK'

/**
 * Brings the cloud of the demo back, for one command.
 *
 * @returns undefined for any other directory: then nothing of the demo is even loaded.
 */
export async function enterDemo(directory: string, edges: Edges, terminal: Terminal): Promise<DemoDirectory | undefined> {
  if (!existsSync(join(directory, 'simulator.v8'))) return undefined
  const { openData } = await import('../demo/data-directory.ts')
  const { clock, sleep, env, close } = await openData(directory, edges.env[clockVariable])
  terminal.note(`The cloud in ${directory} is the demo's, a simulated one. Its clock says ${timeText(clock())}.`)
  const others = Object.entries(edges.env).filter(([name]) => !name.startsWith('OS_'))
  return { edges: { ...edges, clock, sleep, env: { ...Object.fromEntries(others), ...env } }, leave: close }
}
