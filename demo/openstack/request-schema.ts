import { Refusal } from './answer.ts'
import { repr, str } from './python.ts'

/** A JSON object of unknown content. */
export type Json = Readonly<Record<string, unknown>>

const KEY = /^[a-zA-Z0-9-_:. ]{1,255}$/
/** Of the basic plane only: nova's own pattern knows no more, which is why an emoji is refused (lab README §3). */
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}\u{10000}-\u{10ffff}]*$/u

/** @throws {@link Refusal} 400 for what is no JSON object with something in it. */
export function parseBody(body: string): Json {
  const value = body === '' ? {} : parseJson(body)
  if (!isObject(value)) throw new Refusal(400, 'Malformed request body')
  return value
}

/** @throws {@link Refusal} 400 for what is no JSON. */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new Refusal(400, 'Malformed request body')
  }
}

/** Whether it is an object in JSON's sense. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @throws {@link Refusal} 400 in the words of nova's JSON schema checks (lab README §3). */
export function checkObject(
  field: string,
  value: unknown,
  required: readonly string[],
  allowed: readonly string[],
): Json {
  if (!isObject(value)) throw invalid(field, value, `${repr(value)} is not of type 'object'`)
  for (const key of required) {
    if (!(key in value)) throw invalid(field, value, `${repr(key)} is a required property`)
  }
  const extra = Object.keys(value).filter((key) => !allowed.includes(key))
  if (extra.length > 0) {
    const verb = extra.length === 1 ? 'was' : 'were'
    throw invalid(
      field,
      value,
      `Additional properties are not allowed (${extra.map(repr).join(', ')} ${verb} unexpected)`,
    )
  }
  return value
}

/** @throws {@link Refusal} 400 for a name that is missing, too long, or has what nova does not print. */
export function checkName(value: unknown): string {
  const name = checkText('name', value, 1, 255)
  if (!PRINTABLE.test(name) || /^\p{Z}|\p{Z}$/u.test(name)) {
    throw new Refusal(
      400,
      "An invalid 'name' value was provided. The name must be: printable characters. Can not start or end with whitespace.",
    )
  }
  return name
}

/** @throws {@link Refusal} 400 for no string, or one of another length. */
export function checkText(field: string, value: unknown, least: number, most: number): string {
  if (typeof value !== 'string') throw invalid(field, value, `${repr(value)} is not of type 'string'`)
  const length = [...value].length
  if (length < least) throw invalid(field, value, `${repr(value)} is too short`)
  if (length > most) throw invalid(field, value, `${repr(value)} is too long`)
  return value
}

/** @throws {@link Refusal} 400 for a key or value that nova does not take. */
export function checkMetadata(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) throw invalid('metadata', value, `${repr(value)} is not of type 'object'`)
  const checked: Record<string, string> = {}
  for (const [key, item] of Object.entries(value)) {
    if (!KEY.test(key)) {
      throw invalid('metadata', value, `${repr(key)} does not match any of the regexes: '^[a-zA-Z0-9-_:. ]{1,255}$'`)
    }
    checked[key] = checkText(key, item, 0, 255)
  }
  return checked
}

/** @throws {@link Refusal} 400 for anything but a whole number that is not negative; a string of digits is one. */
export function checkCount(field: string, value: unknown): number {
  if (typeof value === 'string') {
    if (!/^[0-9]+$/.test(value)) throw invalid(field, value, `${repr(value)} does not match '^[0-9]*$'`)
    return Number(value)
  }
  if (typeof value !== 'number') throw invalid(field, value, `${repr(value)} is not of type 'integer', 'string'`)
  if (value < 0) throw invalid(field, value, `${repr(value)} is less than the minimum of 0`)
  return value
}

/** The 400 that nova's schema checks make. */
export function invalid(field: string, value: unknown, complaint: string): Refusal {
  return new Refusal(400, `Invalid input for field/attribute ${field}. Value: ${str(value)}. ${complaint}`)
}
