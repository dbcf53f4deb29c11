import type { Log, LogFields } from '../lib/runner/ports.ts'
import type { Terminal } from './terminal.ts'

/**
 * The functions' log lines for a person: on standard error, in the order in which things happen. Debug lines only when asked for.
 *
 * @param json - As the JSON that CloudWatch would have.
 */
export function terminalLog(terminal: Pick<Terminal, 'note'>, clock: () => Date, { verbose, json }: { verbose: boolean; json: boolean }): Log {
  const write = (level: string) => (message: string, fields: LogFields = {}) => {
    const at = clock().toISOString()
    if (json) terminal.note(JSON.stringify({ level, message, timestamp: at, ...fields }, plainError))
    else terminal.note(`${at.slice(0, 19)}Z ${level.padEnd(5)} ${subject(fields)}${message}${reason(fields)}`)
  }
  return { debug: verbose ? write('DEBUG') : () => {}, info: write('INFO'), warn: write('WARN'), error: write('ERROR') }
}

function subject({ schedule, cloud }: LogFields): string {
  if (schedule !== undefined) return `${schedule}: `
  return cloud === undefined ? '' : `cloud ${cloud}: `
}

/** What an unexpected error says; the sentence of an expected one is the message itself. */
function reason({ error, requestId }: LogFields): string {
  const parts = [error instanceof Error ? error.message : undefined, requestId].filter((part) => part !== undefined)
  return parts.length > 0 ? ` (${parts.join('; ')})` : ''
}

function plainError(_: string, value: unknown): unknown {
  return value instanceof Error ? { name: value.name, message: value.message } : value
}
