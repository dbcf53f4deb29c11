const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether a text is an id of OpenStack's, in any letter case, rather than a name. */
export function isUuid(text: string): boolean {
  return pattern.test(text)
}
