import { createInterface } from 'node:readline/promises'
import { ScheduledImagesError } from '../lib/model/errors.ts'

/** Where a command's words go, and where answers come from. */
export interface Terminal {
  /** Standard output: what was asked for, and nothing else. */
  print(text: string): void
  /** Standard error: remarks, warnings and progress. */
  note(text: string): void
  /** A line that the next one replaces, where somebody watches; elsewhere nothing. Undefined takes it away. */
  progress(line: string | undefined): void
  /**
   * Asks a question that yes or no answers; anything but yes is no.
   *
   * @throws ScheduledImagesError `CONFIRMATION_NEEDED` when nobody is there to answer.
   */
  confirm(question: string): Promise<boolean>
  /** Characters in a line; undefined where nobody watches. */
  readonly columns: number | undefined
  readonly colours: boolean
  /** Aborted by Ctrl-C. */
  readonly interrupted: AbortSignal
}

/** What a command says that Ctrl-C does not end at once. */
export const finishing = 'Interrupted: nothing more is begun, and what is begun is finished. Press Ctrl-C again to leave at once.'

/** The terminal that this process was started in. */
export function processTerminal(interrupted: AbortSignal): Terminal {
  const { stdin, stdout, stderr } = process
  let shown = false
  const clear = () => {
    if (shown) stderr.write('\r\u001B[K')
    shown = false
  }
  return {
    print: (text) => {
      clear()
      stdout.write(`${text}\n`)
    },
    note: (text) => {
      clear()
      stderr.write(`${text}\n`)
    },
    progress: (line) => {
      if (!stderr.isTTY) return
      clear()
      if (line === undefined) return
      // A terminal that does not know its width says 0.
      stderr.write(line.slice(0, (stderr.columns || 80) - 1))
      shown = true
    },
    confirm: async (question) => {
      if (!stdin.isTTY) throw nobodyAnswers(question)
      const reader = createInterface({ input: stdin, output: stderr })
      try {
        return /^y(es)?$/i.test((await reader.question(`${question} [y/N] `, { signal: interrupted })).trim())
      } finally {
        reader.close()
      }
    },
    columns: stdout.isTTY ? stdout.columns : undefined,
    colours: stdout.isTTY && stderr.isTTY && !process.env['NO_COLOR'],
    interrupted,
  }
}

export function nobodyAnswers(question: string): ScheduledImagesError {
  return new ScheduledImagesError('CONFIRMATION_NEEDED', `Nobody is there to answer: ${question} Say --yes to go on without being asked.`)
}
