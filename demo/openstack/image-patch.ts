import { Refusal } from './answer.ts'
import type { ImageFace, ImageRecord, TokenRecord, Visibility } from './cloud.ts'
import { BASE_KEYS, FOUR_BYTES, PROPERTY_LIMIT, READ_ONLY, faceOf } from './image-record.ts'

/** The largest value of a MySQL TEXT column. */
const TEXT_BYTES = 65_535
const CONFLICT = 'There was a conflict when trying to complete your request.'
const DENIED = 'Access was denied to this resource.'
const ERRED = 'The server has either erred or is incapable of performing the requested operation.'

interface Operation {
  readonly op: 'add' | 'replace' | 'remove'
  readonly key: string
  readonly value: unknown
}

/**
 * Applies a JSON patch to an image, all of it or nothing.
 *
 * @throws {@link Refusal} with Glance's status and words (lab README §5).
 */
export function patchImage(image: ImageRecord, caller: TokenRecord, body: string): void {
  const operations = parse(body)
  const face = faceOf(image)
  const formats = { diskFormat: image.diskFormat, containerFormat: image.containerFormat }
  for (const { op, key, value } of operations) {
    if (READ_ONLY.has(key)) throw new Refusal(403, `Attribute '${key}' is read-only.`)
    if (key.startsWith('os_glance_')) throw new Refusal(403, `Attribute '${key}' is reserved.`)
    if (key === 'owner') throw new Refusal(403, DENIED, "Owner can't be updated by non admin.")
    if (key === 'locations') throw new Refusal(403, DENIED, 'Cannot set locations to empty list.')
    if (BASE_KEYS.has(key)) {
      if (op === 'remove') throw new Refusal(403, DENIED, `Property ${key} may not be removed.`)
      if (key === 'disk_format' || key === 'container_format') {
        if (image.status !== 'queued') {
          throw new Refusal(403, `Attribute ${key} can be only replaced for a queued image.`)
        }
        formats[key === 'disk_format' ? 'diskFormat' : 'containerFormat'] = String(value)
      } else setBase(face, caller, key, value)
    } else if (op === 'remove') {
      if (!face.properties.delete(key)) throw new Refusal(409, CONFLICT, `Property ${key} does not exist.`)
    } else {
      if (op === 'replace' && !face.properties.has(key)) {
        throw new Refusal(409, CONFLICT, `Property ${key} does not exist.`)
      }
      face.properties.set(key, propertyValue(key, value))
    }
  }
  checkProperties(face.properties)
  Object.assign(image, face, formats)
}

/** @throws {@link Refusal} where Glance gives up: 413 for too many, 500 for too long or alike but for case. */
export function checkProperties(properties: ReadonlyMap<string, string>): void {
  if (properties.size > PROPERTY_LIMIT) {
    throw new Refusal(
      413,
      `The limit has been exceeded on the number of allowed image properties. Attempted: ${properties.size}, Maximum: ${PROPERTY_LIMIT}`,
    )
  }
  const folded = new Set<string>()
  for (const [key, value] of properties) {
    if (key.length > 255 || Buffer.byteLength(value) > TEXT_BYTES) throw new Refusal(500, ERRED)
    folded.add(key.toLowerCase())
  }
  if (folded.size < properties.size) throw new Refusal(500, ERRED)
}

/** @throws {@link Refusal} 400 for what is no string, or does not fit MySQL's three-byte utf8. */
export function propertyValue(key: string, value: unknown): string {
  if (typeof value !== 'string') throw mismatch(key, value, 'string', "['additionalProperties']", "{'type': 'string'}")
  if (FOUR_BYTES.test(key) || FOUR_BYTES.test(value)) {
    const name = key.charAt(0).toUpperCase() + key.slice(1).toLowerCase()
    throw new Refusal(400, `${name} can't contain 4 byte unicode characters.`)
  }
  return value
}

/** @throws {@link Refusal} 400 for a tag that is no string or too long. */
export function tagList(value: unknown): string[] {
  if (!Array.isArray(value)) throw mismatch('tags', value, 'array', "['properties']['tags']", "{'type': 'array'}")
  for (const tag of value) {
    if (typeof tag !== 'string' || tag.length > 255) {
      throw new Refusal(
        400,
        `Provided object does not match schema 'image': '${String(tag)}' is too long\n\nFailed validating 'maxLength' in schema['properties']['tags']['items']:\n    {'maxLength': 255, 'type': 'string'}\n\nOn instance['tags'][0]:\n    '${String(tag)}'`,
      )
    }
  }
  return [...new Set(value.map(String))]
}

/** Sets one of Glance's own fields, by its name on the wire. */
export function setBase(face: ImageFace, caller: TokenRecord, key: string, value: unknown): void {
  const where = `['properties']['${key}']`
  switch (key) {
    case 'name':
      if (value !== null && typeof value !== 'string') {
        const schema =
          "{'description': 'Descriptive name for the image',\n     'maxLength': 255,\n     'type': ['null', 'string']}"
        throw mismatch(key, value, "null', 'string", where, schema)
      }
      if (value !== null && FOUR_BYTES.test(value)) {
        throw new Refusal(400, "Name can't contain 4 byte unicode characters.")
      }
      face.name = value
      return
    case 'visibility':
      if (value !== 'private' && value !== 'shared' && value !== 'public' && value !== 'community') {
        throw new Refusal(
          400,
          `Provided object does not match schema 'image': '${String(value)}' is not one of ['community', 'public', 'private', 'shared']`,
        )
      }
      if (value === 'public' && face.visibility !== 'public' && caller.role !== 'admin') {
        throw new Refusal(403, 'You are not authorized to complete publicize_image action.')
      }
      face.visibility = value satisfies Visibility
      return
    case 'protected':
      if (typeof value !== 'boolean') {
        const schema = "{'description': 'If true, image will not be deletable.',\n     'type': 'boolean'}"
        throw mismatch(key, value, 'boolean', where, schema)
      }
      face.protected = value
      return
    case 'os_hidden':
      if (typeof value !== 'boolean') throw mismatch(key, value, 'boolean', where, "{'type': 'boolean'}")
      face.hidden = value
      return
    case 'min_disk':
    case 'min_ram':
      if (typeof value !== 'number') throw mismatch(key, value, 'integer', where, "{'type': 'integer'}")
      if (key === 'min_disk') face.minDisk = value
      else face.minRam = value
      return
    case 'tags':
      face.tags = tagList(value)
  }
}

function mismatch(key: string, value: unknown, type: string, where: string, schema: string): Refusal {
  const shown = typeof value === 'string' ? `'${value}'` : value === null ? 'None' : JSON.stringify(value)
  return new Refusal(
    400,
    `Provided object does not match schema 'image': ${shown} is not of type '${type}'\n\nFailed validating 'type' in schema${where}:\n    ${schema}\n\nOn instance['${key}']:\n    ${shown}`,
  )
}

function parse(body: string): Operation[] {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw new Refusal(400, 'Malformed JSON in request body.')
  }
  if (!Array.isArray(value)) throw new Refusal(400, 'Request body must be a JSON array of operation objects.')
  return value.map(operation)
}

function operation(raw: Record<string, unknown>): Operation {
  const { op, path, value } = raw
  if (op !== 'add' && op !== 'replace' && op !== 'remove') {
    throw new Refusal(
      400,
      `Invalid operation: \`${String(op)}\`. It must be one of the following: add, remove, replace.`,
    )
  }
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw new Refusal(400, `Pointer \`${String(path)}\` does not start with "/".`)
  }
  if (op !== 'remove' && !('value' in raw)) {
    throw new Refusal(400, `Operation "${op}" requires a member named "value".`)
  }
  if (path.indexOf('/', 1) >= 0) throw new Refusal(400, `Invalid JSON pointer for this resource: '${path}'`)
  return { op, key: path.slice(1).replaceAll('~1', '/').replaceAll('~0', '~'), value }
}
