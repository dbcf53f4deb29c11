/** A value as Python's `repr` writes it: nova's messages quote the request so. */
export function repr(value: unknown): string {
  if (value === null || value === undefined) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') {
    return value.includes("'") && !value.includes('"') ? `"${value}"` : `'${value.replaceAll("'", "\\'")}'`
  }
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`
  const entries = Object.entries(value).map(([key, item]) => `${repr(key)}: ${repr(item)}`)
  return `{${entries.join(', ')}}`
}

/** A value as Python's `str` writes it. */
export function str(value: unknown): string {
  return typeof value === 'string' ? value : repr(value)
}
