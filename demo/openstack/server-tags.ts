import type { Answer, WireRequest } from './answer.ts'
import { Refusal, empty, json } from './answer.ts'
import type { Cloud, ServerRecord, TokenRecord } from './cloud.ts'
import { FOUR_BYTES } from './image-record.ts'
import { repr } from './python.ts'
import { checkText, invalid, isObject, parseBody, parseJson } from './request-schema.ts'
import { UNEXPECTED } from './server-snapshot.ts'

const TAG_LIMIT = 50
const TAG_LENGTH = 60
const TAG = /^[^,/]*$/
const STATES = new Set(['active', 'paused', 'suspended', 'stopped'])

/** What nova says when it does each thing, and the name of its policy. */
const VERBS: Record<string, { readonly one: string; readonly all: string; readonly policies: readonly [one: string, all: string] }> = {
  GET: { one: '', all: '', policies: ['show', 'index'] },
  PUT: { one: 'update tag', all: 'update tags', policies: ['update', 'update_all'] },
  DELETE: { one: 'delete tag', all: 'delete tags', policies: ['delete', 'delete_all'] },
}

/**
 * `/servers/ID/tags` and `/servers/ID/tags/TAG`, from 2.26 on.
 *
 * @param raw - The tag as it is in the path, if one is.
 * @returns undefined for a method that there is not.
 */
export function serverTags(
  cloud: Cloud,
  caller: TokenRecord,
  request: WireRequest,
  id: string,
  raw: string | undefined,
): Answer | undefined {
  const { method } = request
  const verb = VERBS[method]
  if (verb === undefined) return undefined
  const given = method === 'PUT' ? putBody(request.body, raw === undefined) : []
  const server = cloud.servers.get(id)
  // Not what nova says of servers elsewhere, and of other projects' it is 403.
  if (server === undefined) throw new Refusal(404, `Instance ${id} has no mapping to a cell.`)
  const policy = verb.policies[raw === undefined ? 1 : 0]
  const own = server.projectId === caller.project?.id || caller.role === 'admin'
  if (!own || (method !== 'GET' && !cloud.mayWrite(caller))) {
    throw new Refusal(403, `Policy doesn't allow os_compute_api:os-server-tags:${policy} to be performed.`)
  }
  if (method !== 'GET' && !STATES.has(server.vmState)) {
    const action = raw === undefined ? verb.all : verb.one
    throw new Refusal(409, `Cannot '${action}' instance ${id} while it is in vm_state ${server.vmState}`)
  }
  // What is not ASCII is read as Latin-1, as Glance reads it.
  if (raw !== undefined) return one(cloud, server, method, Buffer.from(decodeURIComponent(raw)).toString('latin1'))
  if (method === 'PUT') server.tags = given
  else if (method === 'DELETE') server.tags = []
  return method === 'DELETE' ? done() : json(200, { tags: server.tags })
}

/** MySQL's own comparison, by which one tag is like another: without case, accents, or space at the end. */
export function foldTag(tag: string): string {
  return tag.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase().trimEnd()
}

function sorted(tags: readonly string[]): string[] {
  return tags.toSorted((left, right) => (foldTag(left) < foldTag(right) ? -1 : 1))
}

/** The tags in a request's body. @throws {@link Refusal} 400 in the words of nova's schema checks, or 500 in those of MySQL. */
export function checkTags(value: unknown): string[] {
  if (!Array.isArray(value)) throw invalid('tags', value, `${repr(value)} is not of type 'array'`)
  if (value.length > TAG_LIMIT) throw invalid('tags', value, `${repr(value)} is too long`)
  const checked = value.map((item, index) => {
    const text = checkText(String(index), item, 1, TAG_LENGTH)
    if (!TAG.test(text)) throw invalid(String(index), item, `${repr(text)} does not match '^[^,/]*$'`)
    return text
  })
  const tags = [...new Set(checked)]
  if (tags.some((tag) => FOUR_BYTES.test(tag))) throw new Refusal(500, `${UNEXPECTED}\n<class 'oslo_db.exception.DBError'>`)
  if (new Set(tags.map(foldTag)).size < tags.length) {
    throw new Refusal(500, `${UNEXPECTED}\n<class 'oslo_db.exception.DBDuplicateEntry'>`)
  }
  return sorted(tags)
}

function putBody(body: string, all: boolean): string[] {
  if (!all) {
    if (body !== '' && body !== 'null') throw new Refusal(400, `${repr(parseBody(body))} is not of type 'null'`)
    return []
  }
  const given = body === '' ? null : parseJson(body)
  if (!isObject(given)) throw new Refusal(400, `${repr(given)} is not of type 'object'`)
  if (!('tags' in given)) throw new Refusal(400, "'tags' is a required property")
  const extra = Object.keys(given).find((key) => key !== 'tags')
  if (extra !== undefined) throw new Refusal(400, `Additional properties are not allowed (${repr(extra)} was unexpected)`)
  return checkTags(given['tags'])
}

function one(cloud: Cloud, server: ServerRecord, method: string, tag: string): Answer {
  const { id } = server
  const alike = server.tags.find((known) => foldTag(known) === foldTag(tag))
  const has = alike !== undefined
  if (method === 'GET') {
    if (!has) throw new Refusal(404, `Server ${id} has no tag '${tag}'`)
    return done()
  }
  if (method === 'DELETE') {
    if (!has) throw new Refusal(404, `Instance ${id} has no tag '${tag}'`)
    server.tags = server.tags.filter((known) => known !== alike)
    return done()
  }
  const complaint = tag.length > TAG_LENGTH ? 'is too long' : TAG.test(tag) ? undefined : `does not match '^[^,/]*$'`
  if (complaint !== undefined) {
    const rule = "It must be a non empty string without characters '/' and ','."
    throw new Refusal(400, `Tag '${tag}' is invalid. ${rule} Validation error message: ${repr(tag)} ${complaint}`)
  }
  // Counted before it is looked whether the tag is there already.
  if (server.tags.length >= TAG_LIMIT) {
    throw new Refusal(400, `The number of tags exceeded the per-server limit ${TAG_LIMIT}`)
  }
  if (server.tags.includes(tag)) return done()
  // One that is like another is said to be made, and is not.
  if (!has) server.tags = sorted([...server.tags, tag])
  const location = `${cloud.url}/compute/v2.1/servers/${id}/tags/${tag}`
  return empty(201, { location: encodeURI(location), 'content-type': 'text/html; charset=UTF-8' })
}

function done(): Answer {
  return empty(204, { 'content-type': 'application/json' })
}
