import { summaryText } from '../lib/model/summary.ts'
import type { Service } from '../lib/wiring.ts'

/**
 * Logs the one line that says what an invocation did.
 *
 * @throws Error when some of it could not be done or recorded, so that it is invoked anew.
 */
export function conclude({ log }: Service, summary: { readonly faults: number }, fields: Readonly<Record<string, unknown>>): void {
  log.info(`summary: ${summaryText(summary)}`, { ...summary, ...fields })
  if (summary.faults > 0) throw new Error(`${summary.faults} steps could not be done or recorded; the log lines before this one say which.`)
}
