import { createHash } from 'node:crypto'
import { Refusal } from './answer.ts'
import type { Cloud, ImageFace, ImageRecord, TokenRecord } from './cloud.ts'
import { zulu } from './cloud.ts'

/** What Glance keeps of an image beside its own properties. */
export const BASE_KEYS: ReadonlySet<string> = new Set(
  `name disk_format container_format visibility size virtual_size status checksum protected min_ram min_disk owner
   os_hidden os_hash_algo os_hash_value id created_at updated_at tags self file schema`.split(/\s+/),
)

/** Nobody but Glance writes these. */
export const READ_ONLY: ReadonlySet<string> = new Set(
  `id status created_at updated_at size virtual_size checksum os_hash_algo os_hash_value self file schema
   direct_url`.split(/\s+/),
)

/** The most properties an image may have, inherited ones included (lab README §3). */
export const PROPERTY_LIMIT = 128

/** Codes outside the basic plane: MySQL's three-byte utf8 has no room for them (lab README §3). */
export const FOUR_BYTES = /[\u{10000}-\u{10ffff}]/u

/** What a new image may begin with beside its {@link ImageFace}. */
type ImageBeginning = Partial<
  Pick<ImageRecord, 'status' | 'diskFormat' | 'containerFormat' | 'size' | 'data' | 'createdAt' | 'id'>
>

/** A new image. The caller decides everything but the times. */
export function newImage(
  cloud: Cloud,
  owner: string,
  face: Partial<ImageFace>,
  rest: ImageBeginning = {},
): ImageRecord {
  const createdAt = rest.createdAt ?? cloud.second()
  const image: ImageRecord = {
    name: null,
    visibility: 'shared',
    protected: false,
    hidden: false,
    minDisk: 0,
    minRam: 0,
    tags: [],
    properties: new Map(),
    ...face,
    id: cloud.ids.uuid(),
    owner,
    status: 'queued',
    diskFormat: null,
    containerFormat: null,
    size: null,
    data: '',
    ...rest,
    createdAt,
    updatedAt: createdAt,
    members: new Map(),
  }
  cloud.images.set(image.id, image)
  cloud.imageChanges += 1
  return image
}

/** Gone, whoever asked: owners' rights are checked elsewhere. */
export function removeImage(cloud: Cloud, image: ImageRecord): void {
  if (cloud.images.delete(image.id)) cloud.imageChanges += 1
}

/** @throws {@link Refusal} 413 when the project's images are all used up. */
export function checkImageQuota(cloud: Cloud, caller: TokenRecord): void {
  const quota = caller.project?.imageQuota ?? Infinity
  if (quota === Infinity) return
  const used = imageCount(cloud, caller.project?.id)
  if (used < quota) return
  throw new Refusal(
    413,
    `Project ${caller.project?.id} is over a limit for [Resource image_count_total is over limit of ${quota} due to current usage ${used} and delta 1]`,
  )
}

/** How many images a project has. */
export function imageCount(cloud: Cloud, projectId: string | undefined): number {
  let count = 0
  for (const image of cloud.images.values()) if (image.owner === projectId) count += 1
  return count
}

/** Whether a GET by id finds it. */
export function isVisible(image: ImageRecord, caller: TokenRecord): boolean {
  if (image.visibility === 'public' || image.visibility === 'community' || caller.role === 'admin') return true
  const project = caller.project?.id ?? ''
  return image.owner === project || (image.visibility === 'shared' && image.members.has(project))
}

/** @throws {@link Refusal} 404 also for images that exist but not for this caller. */
export function visibleImage(cloud: Cloud, caller: TokenRecord, id: string, message?: string): ImageRecord {
  const image = cloud.images.get(id)
  if (image === undefined || !isVisible(image, caller)) {
    throw new Refusal(404, message ?? `No image found with ID ${id}`)
  }
  return image
}

/** Whether this caller may change it. */
export function isOwner(image: ImageRecord, caller: TokenRecord): boolean {
  return caller.role === 'admin' || image.owner === caller.project?.id
}

/** A copy to go back to: see {@link ImageFace}. */
export function faceOf(image: ImageFace): ImageFace {
  const { name, visibility, hidden, minDisk, minRam, tags, properties } = image
  const copy = { name, visibility, hidden, minDisk, minRam, tags: [...tags], properties: new Map(properties) }
  return { ...copy, protected: image.protected }
}

/** Bytes arrive: size and status follow. */
export function storeData(cloud: Cloud, image: ImageRecord, size: number, data: string): void {
  image.size = size
  image.data = data
  image.status = 'active'
  image.updatedAt = cloud.second()
}

/** The image as JSON: its own properties first, as Glance has them. */
export function imageView(image: ImageRecord): Record<string, unknown> {
  const stored = image.status === 'active' || image.status === 'deactivated'
  return {
    ...Object.fromEntries(image.properties),
    name: image.name,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    visibility: image.visibility,
    size: image.size,
    // An empty upload has no virtual size: volume-backed snapshots say null (lab README §1).
    virtual_size: stored && image.size ? image.size : null,
    status: image.status,
    checksum: stored ? digest('md5', image) : null,
    protected: image.protected,
    min_ram: image.minRam,
    min_disk: image.minDisk,
    owner: image.owner,
    os_hidden: image.hidden,
    os_hash_algo: stored ? 'sha512' : null,
    os_hash_value: stored ? digest('sha512', image) : null,
    id: image.id,
    created_at: zulu(image.createdAt),
    updated_at: zulu(image.updatedAt),
    tags: image.tags,
    self: `/v2/images/${image.id}`,
    file: `/v2/images/${image.id}/file`,
    schema: '/v2/schemas/image',
    ...(stored && { stores: 'file' }),
  }
}

/** Digests by size and content, as most simulated images are alike. */
const digests = new Map<string, string>()

function digest(algorithm: 'md5' | 'sha512', { size, data }: ImageRecord): string {
  const key = `${algorithm} ${size} ${data}`
  let value = digests.get(key)
  if (value === undefined) {
    // A snapshot's bytes are never kept: they are that many zeros, up to a bound.
    const bytes = data === '' ? Buffer.alloc(Math.min(size ?? 0, 1 << 20)) : Buffer.from(data)
    value = createHash(algorithm).update(bytes).digest('hex')
    digests.set(key, value)
  }
  return value
}
