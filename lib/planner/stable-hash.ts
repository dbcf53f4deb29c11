/** FNV-1a over the UTF-16 code units: small, stable, and even enough to spread servers over an hour. From 0 to 2³²−1. */
export function stableHash(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return hash
}
