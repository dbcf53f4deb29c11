import type { Answer, Service, WireRequest } from './answer.ts'
import { Refusal, empty, json, page } from './answer.ts'
import type { Cloud, ImageMember, ImageRecord, TokenRecord } from './cloud.ts'
import { zulu } from './cloud.ts'
import { imageOrder, listImages } from './image-list.ts'
import { checkProperties, patchImage, propertyValue, setBase, tagList } from './image-patch.ts'
import {
  BASE_KEYS,
  READ_ONLY,
  checkImageQuota,
  imageCount,
  imageView,
  isOwner,
  newImage,
  removeImage,
  storeData,
  visibleImage,
} from './image-record.ts'

const MINOR_VERSIONS = [15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
const PATCH_TYPES = ['application/openstack-images-v2.0-json-patch', 'application/openstack-images-v2.1-json-patch']
const STORES = {
  'openstack-image-import-methods': 'glance-direct,web-download,copy-image',
  'openstack-image-store-ids': 'file,os_glance_staging_store,os_glance_tasks_store',
}
/** Glance's `image_member_quota`. */
const MEMBER_LIMIT = 128
const UNVERIFIED =
  'This server could not verify that you are authorized to access the document you requested. Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials required.'

/** Glance. Its errors are HTML, whatever was asked for (lab README §5). */
export function image(cloud: Cloud): Service {
  const order = imageOrder(cloud)
  return {
    answer(request) {
      const { method, path } = request
      if (path === '/versions') return versions(cloud, 200)
      if (path === '/v2') {
        const type = 'text/plain; charset=utf8'
        return empty(302, { location: `${cloud.url}/image/v2/`, 'content-type': type })
      }
      if (!path.startsWith('/v2/')) return versions(cloud, 300)
      const caller = cloud.caller(request.headers['x-auth-token'])
      if (caller === undefined) throw new Refusal(401, UNVERIFIED)
      if (path === '/v2/images') {
        if (method === 'GET') return listImages(cloud, order, caller, request.query, request.search)
        if (method === 'POST') return create(cloud, caller, request)
      }
      if (path === '/v2/info/usage' && method === 'GET') return usage(cloud, caller)
      const [, id, part, name, extra] = /^\/v2\/images\/([^/]+)(?:\/([a-z]+)(?:\/([^/]+))?)?(\/.*)?$/.exec(path) ?? []
      if (id === undefined || extra !== undefined) throw notFound()
      if (part === undefined) return single(cloud, caller, request, id)
      if (part === 'file' && name === undefined) return file(cloud, caller, request, id)
      if (part === 'tags' && name !== undefined) return tag(cloud, caller, method, id, name)
      if (part === 'members') return members(cloud, caller, request, id, name)
      if (part === 'actions' && method === 'POST' && name !== undefined) return activation(cloud, caller, id, name)
      throw notFound()
    },
    refuse: ({ status, message, detail, headers }) => {
      const answer = page(status, message, detail)
      return { ...answer, headers: { ...answer.headers, ...headers } }
    },
  }
}

function notFound(): Refusal {
  return new Refusal(404, 'The resource could not be found.')
}

function versions(cloud: Cloud, status: number): Answer {
  return json(status, {
    versions: MINOR_VERSIONS.map((minor, index) => ({
      id: `v2.${minor}`,
      status: index === 0 ? 'CURRENT' : 'SUPPORTED',
      links: [{ rel: 'self', href: `${cloud.url}/image/v2/` }],
    })),
  })
}

function create(cloud: Cloud, caller: TokenRecord, request: WireRequest): Answer {
  const owner = caller.project?.id
  if (owner === undefined) throw new Refusal(403, 'You are not authorized to complete add_image action.')
  const given = parseObject(request.body)
  const draft = newDraft()
  for (const [key, value] of Object.entries(given)) {
    if (key === 'id' || key === 'disk_format' || key === 'container_format') continue
    if (READ_ONLY.has(key)) throw new Refusal(403, `Attribute '${key}' is read-only.`)
    if (key === 'owner') {
      if (value !== owner && caller.role !== 'admin') {
        throw new Refusal(403, `You are not permitted to create images owned by '${String(value)}'.`)
      }
    } else if (BASE_KEYS.has(key)) setBase(draft, caller, key, value)
    else if (key.startsWith('os_glance_')) throw new Refusal(403, `Attribute '${key}' is reserved.`)
    else draft.properties.set(key, propertyValue(key, value))
  }
  checkProperties(draft.properties)
  checkImageQuota(cloud, caller)
  const { id, disk_format: disk, container_format: container } = given
  const made = newImage(cloud, owner, draft, {
    ...(typeof id === 'string' && { id }),
    diskFormat: typeof disk === 'string' ? disk : null,
    containerFormat: typeof container === 'string' ? container : null,
  })
  return json(201, imageView(made), { location: `${cloud.url}/image/v2/images/${made.id}`, ...STORES })
}

function newDraft(): Parameters<typeof setBase>[0] {
  return {
    name: null,
    visibility: 'shared',
    protected: false,
    hidden: false,
    minDisk: 0,
    minRam: 0,
    tags: [],
    properties: new Map(),
  }
}

function single(cloud: Cloud, caller: TokenRecord, request: WireRequest, id: string): Answer {
  if (request.method === 'GET') return json(200, imageView(visibleImage(cloud, caller, id)))
  if (request.method === 'PATCH') {
    const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''
    if (!PATCH_TYPES.includes(type)) throw unsupported(type, { 'accept-patch': PATCH_TYPES.join(', ') })
    const found = visibleImage(cloud, caller, id)
    if (!isOwner(found, caller)) throw new Refusal(403, 'You do not own this image')
    if (!cloud.mayWrite(caller)) throw new Refusal(403, 'You are not authorized to complete modify_image action.')
    patchImage(found, caller, request.body)
    found.updatedAt = cloud.second()
    return json(200, imageView(found))
  }
  if (request.method === 'DELETE') {
    const found = visibleImage(cloud, caller, id, `Failed to find image ${id} to delete`)
    if (!isOwner(found, caller)) throw new Refusal(403, 'You do not own this image')
    if (!cloud.mayWrite(caller)) throw new Refusal(403, 'You are not authorized to complete delete_image action.')
    if (found.protected) throw new Refusal(403, `Image ${id} is protected and cannot be deleted.`)
    removeImage(cloud, found)
    return done()
  }
  throw new Refusal(405, 'The method specified is not allowed for this resource.')
}

function file(cloud: Cloud, caller: TokenRecord, request: WireRequest, id: string): Answer {
  const found = visibleImage(cloud, caller, id)
  if (request.method === 'GET') {
    if (found.status === 'deactivated') {
      throw new Refusal(403, 'The requested image has been deactivated. Image data download is forbidden.')
    }
    if (found.status !== 'active') return empty(204)
    return { status: 200, headers: { 'content-type': 'application/octet-stream' }, body: found.data }
  }
  const type = request.headers['content-type'] ?? ''
  if (type !== 'application/octet-stream') throw unsupported(type)
  if (!isOwner(found, caller)) throw new Refusal(403, 'You do not own this image')
  if (found.status !== 'queued') {
    throw new Refusal(409, `Image status transition from ${found.status} to saving is not allowed`)
  }
  if (found.diskFormat === null || found.containerFormat === null) {
    throw new Refusal(400, 'Properties disk_format, container_format must be set prior to saving data.')
  }
  storeData(cloud, found, Buffer.byteLength(request.body), request.body)
  return done()
}

function tag(cloud: Cloud, caller: TokenRecord, method: string, id: string, raw: string): Answer {
  // A slash cannot be part of a tag, and what is not ASCII comes back as Latin-1 (lab README §5).
  if (/%2f/i.test(raw)) throw notFound()
  const name = Buffer.from(decodeURIComponent(raw)).toString('latin1')
  const found = visibleImage(cloud, caller, id, `Image ${id} not found.`)
  if (!isOwner(found, caller)) throw new Refusal(403, `Not allowed to update tags for image ${id}.`)
  if (method === 'PUT') {
    found.tags = tagList([...found.tags, ...tagList([name])])
    found.updatedAt = cloud.second()
    return done()
  }
  if (!found.tags.includes(name)) throw notFound()
  found.tags = found.tags.filter((known) => known !== name)
  found.updatedAt = cloud.second()
  return done()
}

function members(
  cloud: Cloud,
  caller: TokenRecord,
  request: WireRequest,
  id: string,
  raw: string | undefined,
): Answer {
  const projectId = raw === undefined ? undefined : decodeURIComponent(raw)
  const { method } = request
  const body = method === 'POST' || method === 'PUT' ? parseObject(request.body) : {}
  const wanted = method === 'POST' ? wantedMember(body) : ''
  if (method === 'PUT' && !('status' in body)) throw new Refusal(400, 'Status not specified')
  const found = visibleImage(cloud, caller, id, `Image ${id} not found.`)
  const owned = isOwner(found, caller)
  // Members that an image had when it was made private are kept, and do not show.
  const shared = found.visibility === 'shared'
  const known = projectId === undefined ? undefined : found.members.get(projectId)
  const member = owned || projectId === caller.project?.id ? known : undefined
  if (method === 'GET') {
    if (projectId !== undefined) {
      if (!shared) throw new Refusal(404, 'Only shared images have members.')
      return json(200, memberView(id, member ?? missing(id, projectId)))
    }
    if (!shared) throw new Refusal(403, `Not allowed to list members for image ${id}: Only shared images have members.`)
    const shown = [...found.members.values()].filter((each) => owned || each.projectId === caller.project?.id)
    return json(200, { members: shown.map((each) => memberView(id, each)), schema: '/v2/schemas/members' })
  }
  if (method === 'POST' && projectId === undefined) {
    if (!owned || !shared || !cloud.mayWrite(caller)) {
      throw new Refusal(403, `Not allowed to create members for image ${id}.`)
    }
    // Counted before it is looked whether the member is there already.
    if (found.members.size >= MEMBER_LIMIT) {
      const attempt = `Attempted: ${found.members.size + 1}, Maximum: ${MEMBER_LIMIT}`
      const excess = `The limit has been exceeded on the number of allowed image members for this image. ${attempt}`
      throw new Refusal(413, `Image member limit exceeded for image ${id}: ${excess}:`)
    }
    if (found.members.has(wanted)) throw new Refusal(409, `Member ${wanted} is duplicated for image ${id}`)
    const at = cloud.second()
    const made: ImageMember = { projectId: wanted, status: 'pending', createdAt: at, updatedAt: at }
    found.members.set(wanted, made)
    return json(200, memberView(id, made))
  }
  if (projectId === undefined || (method !== 'DELETE' && method !== 'PUT')) {
    throw new Refusal(405, 'The method specified is not allowed for this resource.')
  }
  if (method === 'DELETE') {
    if (!owned || !shared || !cloud.mayWrite(caller)) {
      throw new Refusal(403, `Not allowed to delete members for image ${id}.`)
    }
    if (member === undefined) missing(id, projectId)
    found.members.delete(projectId)
    return empty(204)
  }
  // It is the member that accepts, not the owner.
  if (!shared || found.owner === caller.project?.id) {
    throw new Refusal(403, `Not allowed to update members for image ${id}.`)
  }
  const changed = member ?? missing(id, projectId)
  const { status } = body
  if (status !== 'pending' && status !== 'accepted' && status !== 'rejected') {
    throw new Refusal(400, 'Incorrect request: Status must be "pending", "accepted" or "rejected".')
  }
  changed.status = status
  changed.updatedAt = cloud.second()
  return json(200, memberView(id, changed))
}

function wantedMember(body: Record<string, unknown>): string {
  if (!('member' in body)) throw new Refusal(400, 'Member to be added not specified')
  const wanted = body['member']
  if (typeof wanted !== 'string' || wanted === '') throw new Refusal(400, "Member can't be empty")
  return wanted
}

function missing(id: string, projectId: string): never {
  throw new Refusal(404, `${projectId} not found in the member list of the image ${id}.`)
}

function memberView(imageId: string, member: ImageMember): object {
  return {
    member_id: member.projectId,
    image_id: imageId,
    status: member.status,
    created_at: zulu(member.createdAt),
    updated_at: zulu(member.updatedAt),
    schema: '/v2/schemas/member',
  }
}

function activation(cloud: Cloud, caller: TokenRecord, id: string, action: string): Answer {
  const wanted = { deactivate: 'deactivated', reactivate: 'active' } as const
  if (action !== 'deactivate' && action !== 'reactivate') throw notFound()
  const found: ImageRecord = visibleImage(cloud, caller, id)
  if (!isOwner(found, caller)) throw new Refusal(403, 'You do not own this image')
  if (found.status !== 'active' && found.status !== 'deactivated') {
    throw new Refusal(403, `Not allowed to ${action} image in status '${found.status}'`)
  }
  found.status = wanted[action]
  found.updatedAt = cloud.second()
  return done()
}

function usage(cloud: Cloud, caller: TokenRecord): Answer {
  const quota = caller.project?.imageQuota ?? Infinity
  const limit = quota === Infinity ? 2000 : quota
  return json(200, {
    usage: {
      image_size_total: { usage: 0, limit: 100000 },
      image_stage_total: { usage: 0, limit: 100000 },
      image_count_total: { usage: imageCount(cloud, caller.project?.id), limit },
      image_count_uploading: { usage: 0, limit: 1000 },
    },
  })
}

function unsupported(type: string, headers: Record<string, string> = {}): Refusal {
  return new Refusal(415, `The request media type ${type} is not supported by this server.\n`, '', headers)
}

function done(): Answer {
  return empty(204, { 'content-type': 'text/html; charset=UTF-8' })
}

function parseObject(body: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(body)) as Record<string, unknown>
  } catch {
    throw new Refusal(400, 'Malformed JSON in request body.')
  }
}
