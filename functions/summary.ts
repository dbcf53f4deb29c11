import type { Service } from '../lib/wiring.ts'

/**
 * Logs the one line that says what an invocation did.
 *
 * @throws Error when some of it could not be done or recorded, so that it is invoked anew.
 */
export function conclude({ log }: Service, summary: { readonly faults: number }, fields: Readonly<Record<string, unknown>>): void {
  log.info(`summary: ${sentence(summary)}`, { ...summary, ...fields })
  if (summary.faults > 0) throw new Error(`${summary.faults} steps could not be done or recorded; the log lines before this one say which.`)
}

/** `12 schedules, 3 started, 1 failed`: the counts that are not 0, in the summary's order. */
function sentence(summary: object): string {
  const counts = Object.entries(summary).filter(([, count]) => count !== 0)
  if (counts.length === 0) return 'nothing to do'
  return counts.map(([name, count]) => `${count} ${name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`).join(', ')
}
