import type { SentEvent } from './aws/services.ts'
import { days } from './story.ts'

/**
 * Shows how far the simulated days are, after each of them.
 *
 * @param manner - `line`: one line that is written anew, and erased at the end; `weeks`: a line for each week.
 */
export function progress(manner: 'line' | 'weeks'): (day: number, events: readonly SentEvent[]) => void {
  return (day, events) => {
    if (manner === 'line') {
      const text = `  ${'█'.repeat(day)}${'░'.repeat(days - day)}  day ${day} of ${days}: ${counts(events)}`
      process.stdout.write(`\r\u{1b}[2K${day === days ? '' : text}`)
    } else if (day % 7 === 0) console.log(`  week ${day / 7} of ${days / 7}: ${counts(events)}`)
  }
}

function counts(events: readonly SentEvent[]): string {
  const made = events.filter(({ type }) => type === 'Scheduled Image Good').length
  const deleted = events.flatMap(({ type, detail }) => (type === 'Scheduled Images Pruned' ? (detail['images'] as unknown[]) : [])).length
  return `${made} images made, ${deleted} deleted`
}
