/** The patterns below look ahead from each `<`, so a long body of them would take minutes. */
const longestRead = 4096

/**
 * Makes one readable line of an error body.
 *
 * Nova and Cinder answer JSON under varying keys (`badRequest`, `computeFault`, `error`), middleware answers HTML with
 * escaped text (lab findings, §2 and §5), and Glance, asked for JSON, answers JSON whose message holds `<br />`.
 *
 * @returns At most 300 characters on one line; empty when the body says nothing.
 */
export function errorMessage(body: string): string {
  const message = jsonMessage(body)?.replaceAll(/<br ?\/?>/g, ' ') ?? body.slice(0, longestRead).replaceAll(/<(head|title|script|style)\b[\s\S]*?<\/\1>/gi, ' ').replaceAll(/<[^>]*>/g, ' ')
  const line = unescapeHtml(message).replaceAll(/\s+/g, ' ').trim()
  return line.length > 300 ? `${line.slice(0, 299)}…` : line
}

function jsonMessage(body: string): string | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return undefined
  }
  return messageIn(parsed) ?? Object.values(parsed ?? {}).map(messageIn).find((found) => found !== undefined) ?? ''
}

function messageIn(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { message } = value as { message?: unknown }
  return typeof message === 'string' ? message : undefined
}

const entities = new Map(Object.entries({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }))

function unescapeHtml(text: string): string {
  return text.replaceAll(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return entities.get(name.toLowerCase()) ?? whole
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}
