import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { startWorld, type World } from '../../demo/world.ts'
import { main } from '../../cli/main.ts'
import { nobodyAnswers } from '../../cli/terminal.ts'
import { leaks, leaksIn } from './secrecy.ts'

/** What a command line left on the terminal. */
export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface RunOptions {
  /** What a person says to a question; without it nobody is there to answer. */
  readonly answer?: boolean
  readonly env?: Readonly<Record<string, string>>
  /** The width of the terminal; without it nobody watches. */
  readonly columns?: number
  /** Ctrl-C. */
  readonly interrupted?: AbortSignal
  /** What an interactive terminal shows while it lasts. */
  readonly onProgress?: (line: string) => void
}

/** A simulated cloud, and a terminal on a machine without AWS. */
export interface Desk {
  world: World
  /** The directory of `--local`, with a clouds.yaml of the world's cloud. */
  directory: string
  /** Every line that any command wrote, for {@link leaks}. */
  written: string[]
  /** Runs a command line with `--local`. */
  run(args: readonly string[], options?: RunOptions): Promise<Ran>
  /** The same on the stage that is deployed in the world. */
  runDeployed(args: readonly string[], options?: RunOptions): Promise<Ran>
}

/** A fresh desk for each test of a file; no secret may be on its terminal afterwards. */
export function useDesk(options: Partial<Parameters<typeof startWorld>[0]> = {}): Desk {
  const desk = {} as Desk
  beforeEach(async () => {
    const world = await startWorld({ now: '2026-11-01T00:00:00Z', ...options })
    const directory = mkdtempSync(join(tmpdir(), 'scheduled-images-'))
    const entry = JSON.parse(world.aws.parameters.get('/scheduled-images/local/clouds/default')!) as object
    writeFileSync(join(directory, 'clouds.yaml'), JSON.stringify({ clouds: { alpha: entry } }))
    const written: string[] = []
    const run = async (args: readonly string[], { answer, env = {}, columns, interrupted = new AbortController().signal, onProgress = () => {} }: RunOptions, deployed: boolean): Promise<Ran> => {
      const [out, err]: string[][] = [[], []]
      const terminal = {
        print: (text: string) => void out!.push(text),
        note: (text: string) => void err!.push(text),
        progress: (line: string | undefined) => {
          if (line !== undefined) onProgress(line)
        },
        confirm: (question: string) => {
          err!.push(question)
          if (answer === undefined) throw nobodyAnswers(question)
          return Promise.resolve(answer)
        },
        columns,
        colours: false,
        interrupted,
      }
      const sleep = async (ms: number) => world.setClock(new Date(world.clock().getTime() + ms))
      const surroundings = deployed ? { ...world.env, ...env } : { HOME: directory, ...env }
      const code = await main(deployed ? args : ['--local', directory, ...args], terminal, { env: surroundings, clock: world.clock, newId: randomUUID, sleep })
      written.push(...out!, ...err!)
      return { code, out: out!.join('\n'), err: err!.join('\n') }
    }
    Object.assign(desk, {
      world, directory, written,
      run: (args: readonly string[], given: RunOptions = {}) => run(args, given, false),
      runDeployed: (args: readonly string[], given: RunOptions = {}) => run(args, given, true),
    })
  })
  afterEach(async () => {
    expect([...leaks({ terminal: desk.written }, desk.world.secrets()), ...(await leaksIn(desk.world))]).toEqual([])
    await desk.world.close()
    rmSync(desk.directory, { recursive: true })
  })
  return desk
}
