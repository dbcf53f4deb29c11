import type { Answer } from './answer.ts'
import { Refusal, json } from './answer.ts'
import type { Cloud, ImageRecord, TokenRecord } from './cloud.ts'
import { imageView, isVisible } from './image-record.ts'

type Test = (image: ImageRecord) => boolean

const CONTROL = new Set(['limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'visibility', 'member_status', 'tag'])
const SORT_KEYS = ['name', 'status', 'container_format', 'disk_format', 'size', 'id', 'created_at', 'updated_at']
const OPERATORS: Record<string, (left: number, right: number) => boolean> = {
  eq: (left, right) => left === right,
  neq: (left, right) => left !== right,
  gt: (left, right) => left > right,
  gte: (left, right) => left >= right,
  lt: (left, right) => left < right,
  lte: (left, right) => left <= right,
}
/** The page without `limit`, whatever the cloud's cap (lab README §5). */
const DEFAULT_LIMIT = 25

/** The default order. An image keeps its place, so it is worked out again only when the set has changed. */
export interface ImageOrder {
  newestFirst(): readonly ImageRecord[]
}

/** Keeps the listing order of one cloud. */
export function imageOrder(cloud: Cloud): ImageOrder {
  let sorted: readonly ImageRecord[] = []
  let changes = -1
  return {
    newestFirst() {
      if (changes !== cloud.imageChanges) {
        sorted = [...cloud.images.values()].toSorted(byKey('created_at', -1))
        changes = cloud.imageChanges
      }
      return sorted
    },
  }
}

/** `GET /v2/images`: filters, sorting, pages. */
export function listImages(
  cloud: Cloud,
  order: ImageOrder,
  caller: TokenRecord,
  query: URLSearchParams,
  search: string,
): Answer {
  const limit = pageLimit(query.get('limit'), cloud.settings.imagePageLimit)
  const sort = sorting(query)
  const tests = [scope(caller, query), ...filters(query)]
  const all = sort === undefined ? order.newestFirst() : [...cloud.images.values()].toSorted(sort)
  const marker = query.get('marker')
  let start = 0
  if (marker !== null) {
    const image = cloud.images.get(marker)
    if (image === undefined || !isVisible(image, caller)) throw new Refusal(400, `No image found with ID ${marker}`)
    start = all.indexOf(image) + 1
  }
  const images: ImageRecord[] = []
  for (let index = start; index < all.length && images.length < limit; index += 1) {
    const image = all[index]
    if (image !== undefined && tests.every((test) => test(image))) images.push(image)
  }
  const rest = without(search, 'marker')
  const first = rest === '' ? '/v2/images' : `/v2/images?${rest}`
  const last = images.at(-1)
  // A full page has a `next` even when nothing follows it; and it is relative, filters kept.
  const more = last !== undefined && images.length === limit
  return json(200, {
    images: images.map(imageView),
    first,
    schema: '/v2/schemas/images',
    ...(more && { next: `/v2/images?${rest === '' ? '' : `${rest}&`}marker=${last.id}` }),
  })
}

function without(search: string, key: string): string {
  const query = new URLSearchParams(search)
  query.delete(key)
  return query.toString()
}

function pageLimit(given: string | null, cap: number): number {
  if (given === null) return Math.min(DEFAULT_LIMIT, cap)
  if (!/^[+-]?\d+$/.test(given)) throw new Refusal(400, 'limit param must be an integer')
  if (Number(given) < 0) throw new Refusal(400, 'limit param must be positive')
  return Math.min(Number(given), cap)
}

type Compare = (left: ImageRecord, right: ImageRecord) => number

/** @returns undefined for the default, newest first. */
function sorting(query: URLSearchParams): Compare | undefined {
  const sort = query.get('sort')
  const keys = query.getAll('sort_key')
  const directions = query.getAll('sort_dir')
  if (sort !== null && keys.length + directions.length > 0) {
    throw new Refusal(400, 'Old and new sorting syntax cannot be combined')
  }
  const pairs: string[][] = sort !== null
    ? sort.split(',').map((part) => part.trim().split(':'))
    : keys.map((key, index) => [key, directions[index] ?? directions[0] ?? 'desc'])
  if (pairs.length === 0 && directions.length > 0) pairs.push(['created_at', directions[0] ?? 'desc'])
  const compares = pairs.map(([key = '', direction = 'desc']) => {
    if (!SORT_KEYS.includes(key)) {
      throw new Refusal(400, `Invalid sort key: ${key}. It must be one of the following: ${SORT_KEYS.join(', ')}.`)
    }
    if (direction !== 'asc' && direction !== 'desc') throw new Refusal(400, `Invalid sort direction: ${direction}`)
    return byKey(key, direction === 'asc' ? 1 : -1)
  })
  if (compares.length === 0) return undefined
  return (left, right) => {
    for (const compare of compares) {
      const result = compare(left, right)
      if (result !== 0) return result
    }
    return 0
  }
}

/** Ties break on id, in the same direction. */
function byKey(key: string, sign: 1 | -1): Compare {
  return (left, right) => {
    const one = sortValue(left, key)
    const other = sortValue(right, key)
    if (one !== other) return one < other ? -sign : sign
    return left.id < right.id ? -sign : left.id > right.id ? sign : 0
  }
}

function sortValue(image: ImageRecord, key: string): string | number {
  switch (key) {
    case 'created_at':
      return image.createdAt
    case 'updated_at':
      return image.updatedAt
    case 'size':
      return image.size ?? -1
    default:
      return fold(baseValue(image, key) ?? '')
  }
}

/** What the caller sees without filters: own, public, and accepted shares; never others' community images. */
function scope(caller: TokenRecord, query: URLSearchParams): Test {
  const project = caller.project?.id ?? ''
  const admin = caller.role === 'admin'
  const memberStatus = query.get('member_status') ?? 'accepted'
  if (!['accepted', 'pending', 'rejected', 'all'].includes(memberStatus)) {
    throw new Refusal(400, `Invalid status: ${memberStatus}`)
  }
  const visibility = query.get('visibility')
  if (visibility !== null && !['public', 'private', 'shared', 'community', 'all'].includes(visibility)) {
    throw new Refusal(400, `Invalid visibility value: ${visibility}`)
  }
  const withCommunity = visibility === 'community' || visibility === 'all'
  return (image) => {
    if (visibility !== null && visibility !== 'all' && image.visibility !== visibility) return false
    if (image.owner === project || admin || image.visibility === 'public') return true
    if (image.visibility === 'community') return withCommunity
    const member = image.visibility === 'shared' ? image.members.get(project) : undefined
    return member !== undefined && (memberStatus === 'all' || member.status === memberStatus)
  }
}

function filters(query: URLSearchParams): Test[] {
  const tests: Test[] = []
  for (const tag of query.getAll('tag')) tests.push((image) => image.tags.includes(tag))
  // Hidden images are left out unless asked for.
  tests.push(flag('os_hidden', query.get('os_hidden') ?? 'false', (image) => image.hidden))
  for (const key of new Set(query.keys())) {
    if (CONTROL.has(key) || key === 'os_hidden') continue
    tests.push(filter(key, query.getAll(key).at(-1) ?? ''))
  }
  return tests
}

function filter(key: string, value: string): Test {
  switch (key) {
    case 'protected':
      return flag(key, value, (image) => image.protected)
    case 'created_at':
      return moment(key, value, (image) => image.createdAt)
    case 'updated_at':
      return moment(key, value, (image) => image.updatedAt)
    case 'size_min':
      return range(value, (size, bound) => size >= bound)
    case 'size_max':
      return range(value, (size, bound) => size <= bound)
    case 'id':
    case 'name':
    case 'status':
    case 'container_format':
    case 'disk_format': {
      const wanted = new Set((value.startsWith('in:') ? list(value.slice(3)) : [value]).map(fold))
      return (image) => wanted.has(fold(baseValue(image, key) ?? ''))
    }
    case 'owner':
    case 'checksum':
    case 'min_disk':
    case 'min_ram':
    case 'size': {
      const wanted = fold(value)
      return (image) => fold(baseValue(image, key) ?? '') === wanted
    }
    default:
      return property(key, value)
  }
}

/** A property nobody has matches nothing: a misspelt filter looks like "no images" (lab README §5). */
function property(key: string, value: string): Test {
  const wantedKey = fold(key)
  const wanted = fold(value)
  return (image) => {
    const exact = image.properties.get(key)
    if (exact !== undefined) return fold(exact) === wanted
    for (const [name, text] of image.properties) if (fold(name) === wantedKey && fold(text) === wanted) return true
    return false
  }
}

/** MySQL compares without case (lab README §5). */
function fold(text: string): string {
  return text.toLowerCase()
}

/** `g-1,"a, b"` */
function list(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|([^,]+)/g)].map((found) => found[1] ?? found[2] ?? '')
}

function flag(key: string, value: string, read: Test): Test {
  if (!/^(true|false)$/i.test(value)) {
    throw new Refusal(400, `Invalid value '${value}' for '${key}' filter. Valid values are 'true' or 'false'.`)
  }
  const wanted = value.toLowerCase() === 'true'
  return (image) => read(image) === wanted
}

function moment(key: string, value: string, read: (image: ImageRecord) => number): Test {
  const operator = /^([a-z]+):/.exec(value)?.[1]
  const compare = OPERATORS[operator ?? 'eq']
  if (compare === undefined) throw new Refusal(400, 'Unable to filter on a unknown operator.')
  const at = Date.parse(operator === undefined ? value : value.slice(operator.length + 1))
  if (Number.isNaN(at)) {
    throw new Refusal(400, `Bad "${key}" query filter format. Use ISO 8601 DateTime notation.`)
  }
  return (image) => compare(read(image), at)
}

function range(value: string, compare: (size: number, bound: number) => boolean): Test {
  if (!/^\d+$/.test(value)) throw new Refusal(400, 'Unable to filter on a range with a non-numeric value.')
  return (image) => compare(image.size ?? 0, Number(value))
}

function baseValue(image: ImageRecord, key: string): string | undefined {
  switch (key) {
    case 'id':
      return image.id
    case 'name':
      return image.name ?? undefined
    case 'status':
      return image.status
    case 'container_format':
      return image.containerFormat ?? undefined
    case 'disk_format':
      return image.diskFormat ?? undefined
    case 'owner':
      return image.owner
    case 'min_disk':
      return String(image.minDisk)
    case 'min_ram':
      return String(image.minRam)
    case 'size':
      return image.size === null ? undefined : String(image.size)
    default: {
      const value = imageView(image)[key]
      return value === null || value === undefined ? undefined : String(value)
    }
  }
}
