import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { unpack } from '../contract/artefact.ts'
import type { Json } from '../contract/harness.ts'

const files = { snapshotDaily: 'snapshot-daily', prune: 'prune' } as const
export type FunctionName = keyof typeof files

/** What became of one invocation. */
export interface Invocation {
  readonly name: FunctionName
  /** SIGKILL met the process alive. */
  readonly killed: boolean
  /** What the handler returned; undefined when it did not. */
  readonly summary: Json | undefined
  readonly ms: number
  /** Everything that it printed. */
  readonly output: string
}

/** The unpacked zips, whose handlers run in processes of their own. */
export class Functions {
  /** Where the zips are unpacked. */
  readonly directory = unpack(Object.keys(files))
  readonly #env: Readonly<Record<string, string>>

  /** @param env - All that a handler gets. */
  constructor(env: Readonly<Record<string, string>>) {
    this.#env = env
  }

  /**
   * Runs a handler once, with a clock that starts at its tick.
   *
   * @param killAfterMs - When to end the process as a crash would; undefined: not at all.
   */
  invoke(name: FunctionName, tick: Date, killAfterMs: number | undefined): Promise<Invocation> {
    const handler = join(this.directory, name, 'functions', `${files[name]}.mjs`)
    const time = tick.toISOString()
    const program = [join(import.meta.dirname, '../contract/invoke.ts'), handler, JSON.stringify({ time })]
    const started = performance.now()
    const child = spawn(process.execPath, ['--import', join(import.meta.dirname, 'clock.ts'), ...program], {
      env: { ...this.#env, CLOCK_AT: time },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    let returned = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      returned += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        clearTimeout(timer)
        const summary = code === 0 ? (JSON.parse(returned.trim().split('\n').at(-1)!) as Json) : undefined
        resolve({ name, killed: signal === 'SIGKILL', summary, ms: performance.now() - started, output })
      })
    })
  }
}
