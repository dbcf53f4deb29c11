import Table from 'cli-table3'

/**
 * Columns of text under their heads, two spaces apart; or, where a line would be broken, a block of lines for each row.
 *
 * @param width - Characters in a line; undefined where lines may be as long as they are.
 */
export function table(heads: readonly string[], rows: readonly (readonly string[])[], width: number | undefined): string {
  const lines = new Table({
    head: [...heads],
    chars: { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  })
  lines.push(...rows.map((row) => [...row]))
  const text = lines.toString().split('\n').map((line) => line.trimEnd())
  return width === undefined || text.every((line) => line.length <= width) ? text.join('\n') : rows.map((row) => block(heads, row)).join('\n\n')
}

function block(heads: readonly string[], row: readonly string[]): string {
  const longest = Math.max(...heads.map((head) => head.length))
  return heads.flatMap((head, at) => (row[at] === '' ? [] : [`${head.padEnd(longest)}  ${row[at]}`])).join('\n')
}

/** `2026-11-21 01:30 UTC`. */
export function timeText(instant: Date | string | undefined): string {
  if (instant === undefined) return '-'
  const date = new Date(instant)
  return Number.isNaN(date.getTime()) ? '-' : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** `3 days`, `5 h`, `12 min`: whole units, rounded down. */
export function ageText(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000))
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`
}

/** `1.2 GB`, in powers of ten. */
export function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const unit = bytes === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1000 ** unit
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
