/** What an invocation did, in words: `12 schedules, 3 started, 1 failed`, the counts that are not 0 in the summary's order. */
export function summaryText(summary: object): string {
  const counts = Object.entries(summary).filter(([, count]) => count !== 0)
  if (counts.length === 0) return 'nothing to do'
  return counts.map(([name, count]) => `${count} ${name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`).join(', ')
}
