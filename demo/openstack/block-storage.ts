import type { Answer, Service, WireRequest } from './answer.ts'
import { Refusal, empty, json, novaFault, page, unauthorized } from './answer.ts'
import type { Cloud, SnapshotRecord, TokenRecord, VolumeRecord } from './cloud.ts'
import { zoneless } from './cloud.ts'
import { VOLUME_QUOTAS, quotaSet, volumesUsed } from './quota.ts'
import { checkObject, parseBody } from './request-schema.ts'
import { VOLUME_TYPES, deleteSnapshot, deleteVolume, hasSnapshotRoom, startVolumeSnapshot } from './volume.ts'

/** Cinder's `osapi_max_limit`. */
const PAGE_LIMIT = 1000
const MAX_MINOR = 70
const KINDS: ReadonlySet<string> = new Set(['snapshots', 'volumes', 'limits', 'types', 'os-quota-sets'])
const MALFORMED = 'The server could not comply with the request since it is either malformed or otherwise incorrect.'

/** Cinder: snapshots, volumes and their metadata. */
export function blockStorage(cloud: Cloud): Service {
  return {
    answer(request) {
      const { method, path } = request
      if (path === '/') return versions(cloud, 300)
      const caller = cloud.caller(request.headers['x-auth-token'])
      if (caller === undefined) return unauthorized()
      if (path === '/v3' || path === '/v3/') return versions(cloud, 200)
      const minor = microversion(request)
      const [, project, kind, id, extra] = /^\/v3\/([^/]+)\/([a-z-]+)(?:\/([^/]+))?(?:\/([a-z]+))?$/.exec(path) ?? []
      if (project === undefined || !KINDS.has(kind ?? '')) return page(404, 'The resource could not be found.')
      if (project !== caller.project?.id) throw new Refusal(400, 'Malformed request url')
      const headers = { 'openstack-api-version': `volume 3.${minor}`, vary: 'OpenStack-API-Version' }
      if (kind === 'os-quota-sets') {
        return quotaSet(cloud, caller, request, id, VOLUME_QUOTAS) ?? page(404, 'The resource could not be found.')
      }
      if (kind === 'limits' && method === 'GET') return json(200, { limits: { rate: [], absolute: limits(cloud, caller) } }, headers)
      if (kind === 'types' && method === 'GET' && id === undefined) return json(200, { volume_types: VOLUME_TYPES })
      if (kind !== 'snapshots' && kind !== 'volumes') return page(404, 'The resource could not be found.')
      if (id === undefined || id === 'detail') {
        if (method === 'POST' && kind === 'snapshots') return create(cloud, caller, request, minor, headers)
        if (method !== 'GET') return page(404, 'The resource could not be found.')
        return list(cloud, request, project, kind, id === 'detail', minor, headers)
      }
      const record = kind === 'snapshots' ? cloud.snapshots.get(id) : cloud.volumes.get(id)
      if (record === undefined || record.projectId !== project) {
        throw new Refusal(404, `${kind === 'snapshots' ? 'Snapshot' : 'Volume'} ${id} could not be found.`)
      }
      if ('volumeId' in record) {
        if (extra !== undefined) return page(404, 'The resource could not be found.')
        if (method === 'GET') return json(200, { snapshot: snapshotView(record, minor, true) }, headers)
        if (method === 'DELETE') deleteSnapshot(cloud, record)
      } else {
        if (extra === 'metadata') return metadata(record, request, headers)
        if (method === 'GET') return json(200, { volume: volumeView(cloud, record) }, headers)
        if (method === 'DELETE') deleteVolume(cloud, record)
      }
      if (method !== 'DELETE') return page(404, 'The resource could not be found.')
      return empty(202, { 'content-type': 'text/html; charset=UTF-8', ...headers })
    },
    refuse: ({ status, message }) => {
      const answer = novaFault(status, message)
      return { ...answer, headers: { ...answer.headers, 'content-type': 'application/json' } }
    },
  }
}

/** @throws {@link Refusal} 400 also for a header meant for another service (lab README §7). */
function microversion(request: WireRequest): number {
  const header = request.headers['openstack-api-version']
  if (header === undefined) return 0
  const [, minor] = /^volume 3\.(\d+)$/.exec(header) ?? []
  if (header === 'volume latest') return MAX_MINOR
  if (minor === undefined) throw new Refusal(400, MALFORMED)
  if (Number(minor) > MAX_MINOR) {
    throw new Refusal(
      406,
      `Version 3.${minor} is not supported by the API. Minimum is 3.0 and maximum is 3.${MAX_MINOR}.`,
    )
  }
  return Number(minor)
}

function limits(cloud: Cloud, { project }: TokenRecord): object {
  const used = volumesUsed(cloud, project)
  const snapshots = [...cloud.snapshots.values()].filter(({ projectId }) => projectId === project?.id).length
  return {
    maxTotalVolumes: project?.volumeQuota,
    maxTotalSnapshots: project?.snapshotQuota === Infinity ? -1 : project?.snapshotQuota,
    maxTotalVolumeGigabytes: project?.gigabyteQuota,
    maxTotalBackups: 10,
    maxTotalBackupGigabytes: 1000,
    totalVolumesUsed: used.volumes,
    totalGigabytesUsed: used.gigabytes,
    totalSnapshotsUsed: snapshots,
    totalBackupsUsed: 0,
    totalBackupGigabytesUsed: 0,
  }
}

function versions(cloud: Cloud, status: number): Answer {
  return json(status, {
    versions: [
      {
        id: 'v3.0',
        status: 'CURRENT',
        version: `3.${MAX_MINOR}`,
        min_version: '3.0',
        updated: '2022-08-31T00:00:00Z',
        links: [
          { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' },
          { rel: 'self', href: `${cloud.url}/volume/v3/` },
        ],
        'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.volume+json;version=3' }],
      },
    ],
  })
}

/** `POST /snapshots`: a person's own. */
function create(
  cloud: Cloud,
  caller: TokenRecord,
  request: WireRequest,
  minor: number,
  headers: Record<string, string>,
): Answer {
  const body = parseBody(request.body)
  if (!('snapshot' in body)) throw new Refusal(400, "'snapshot' is a required property")
  const keys = ['volume_id', 'name', 'description', 'force', 'metadata']
  const wanted = checkObject('snapshot', body['snapshot'], ['volume_id'], keys)
  const volume = cloud.volumes.get(String(wanted['volume_id']))
  if (volume === undefined || volume.projectId !== caller.project?.id) {
    throw new Refusal(404, `Volume ${String(wanted['volume_id'])} could not be found.`)
  }
  if (volume.status !== 'available' && !(volume.status === 'in-use' && wanted['force'] === true)) {
    const found = `status must be available, but current status is: ${volume.status}.`
    throw new Refusal(400, `Invalid volume: Volume ${volume.id} ${found}`)
  }
  if (!hasSnapshotRoom(cloud, caller, 1)) {
    const quota = caller.project?.snapshotQuota
    const message = `SnapshotLimitExceeded: Maximum number of snapshots allowed (${quota}) exceeded`
    return json(413, { overLimit: { code: 413, message, retryAfter: '0' } }, { 'retry-after': '0', ...headers })
  }
  const made = startVolumeSnapshot(cloud, volume, caller.user.id, String(wanted['name'] ?? ''))
  return json(202, { snapshot: snapshotView(made, minor, false) }, headers)
}

function list(
  cloud: Cloud,
  { query, search, path }: WireRequest,
  project: string,
  kind: 'snapshots' | 'volumes',
  detail: boolean,
  minor: number,
  headers: Record<string, string>,
): Answer {
  const limit = pageLimit(query.get('limit'))
  const known: ReadonlyMap<string, SnapshotRecord | VolumeRecord> = kind === 'snapshots' ? cloud.snapshots : cloud.volumes
  const own = [...known.values()].filter((record) => record.projectId === project)
  // Maps are oldest first; Cinder's default is newest first.
  if (query.get('sort') !== 'created_at:asc') own.reverse()
  const marker = query.get('marker')
  const start = marker === null ? 0 : own.findIndex(({ id }) => id === marker) + 1
  if (marker !== null && start === 0) {
    throw new Refusal(404, `${kind === 'snapshots' ? 'Snapshot' : 'Volume'} ${marker} could not be found.`)
  }
  const wanted: Record<string, string | null> = {
    name: query.get('name'),
    status: query.get('status'),
    volumeId: query.get('volume_id'),
  }
  const shown: (SnapshotRecord | VolumeRecord)[] = []
  for (const record of own.slice(start)) {
    if (shown.length === limit) break
    if (matches(record, wanted)) shown.push(record)
  }
  const last = shown.at(-1)
  const rest = new URLSearchParams(search)
  rest.delete('marker')
  const next = `${cloud.url}/volume${path}?${rest.size > 0 ? `${rest.toString()}&` : ''}marker=${last?.id}`
  const views = shown.map((record) =>
    'volumeId' in record
      ? snapshotView(record, minor, detail)
      : detail
        ? volumeView(cloud, record)
        : { id: record.id, name: record.name, links: volumeLinks(cloud, record) },
  )
  const more = last !== undefined && shown.length === limit
  return json(200, { [kind]: views, ...(more && { [`${kind}_links`]: [{ rel: 'next', href: next }] }) }, headers)
}

function pageLimit(given: string | null): number {
  if (given === null) return PAGE_LIMIT
  if (!/^-?\d+$/.test(given)) throw new Refusal(400, 'limit param must be an integer')
  if (Number(given) < 0) throw new Refusal(400, 'limit param must be positive')
  return Math.min(Number(given), PAGE_LIMIT)
}

function matches(record: SnapshotRecord | VolumeRecord, wanted: Record<string, string | null>): boolean {
  const fields: Record<string, unknown> = { ...record }
  return Object.entries(wanted).every(([key, value]) => value === null || fields[key] === value)
}

function snapshotView(snapshot: SnapshotRecord, minor: number, detail: boolean): object {
  const { id, name, projectId, userId, volumeId, size, status, createdAt, updatedAt } = snapshot
  return {
    id,
    created_at: zoneless(createdAt),
    updated_at: updatedAt === null ? null : zoneless(updatedAt),
    name,
    description: '',
    volume_id: volumeId,
    status,
    size,
    metadata: {},
    ...(minor >= 14 && { group_snapshot_id: null }),
    ...(minor >= 41 && { user_id: userId }),
    ...(minor >= 65 && { consumes_quota: true }),
    ...(detail && {
      'os-extended-snapshot-attributes:project_id': projectId,
      'os-extended-snapshot-attributes:progress': status === 'available' ? '100%' : '0%',
    }),
  }
}

function volumeLinks(cloud: Cloud, { id, projectId }: VolumeRecord): object[] {
  return [
    { rel: 'self', href: `${cloud.url}/volume/v3/${projectId}/volumes/${id}` },
    { rel: 'bookmark', href: `${cloud.url}/volume/${projectId}/volumes/${id}` },
  ]
}

function volumeView(cloud: Cloud, volume: VolumeRecord): object {
  const attachments = [...cloud.servers.values()].flatMap((server) =>
    server.attachments
      .filter(({ volumeId }) => volumeId === volume.id)
      .map(({ attachmentId, device }) => ({
        id: volume.id,
        attachment_id: attachmentId,
        volume_id: volume.id,
        server_id: server.id,
        host_name: null,
        device,
        attached_at: zoneless(volume.updatedAt),
      })),
  )
  const bootable = volume.imageMetadata.size > 0
  return {
    id: volume.id,
    status: volume.status,
    size: volume.size,
    availability_zone: 'nova',
    created_at: zoneless(volume.createdAt),
    updated_at: zoneless(volume.updatedAt),
    name: volume.name,
    description: '',
    volume_type: volume.type,
    snapshot_id: volume.snapshotId,
    source_volid: null,
    metadata: Object.fromEntries(volume.metadata),
    links: volumeLinks(cloud, volume),
    user_id: volume.userId,
    bootable: String(bootable),
    encrypted: false,
    replication_status: null,
    consistencygroup_id: null,
    multiattach: false,
    attachments,
    'os-vol-tenant-attr:tenant_id': volume.projectId,
    ...(bootable && { volume_image_metadata: Object.fromEntries(volume.imageMetadata) }),
  }
}

function metadata(volume: VolumeRecord, request: WireRequest, headers: Record<string, string>): Answer {
  if (request.method === 'POST' || request.method === 'PUT') {
    const given: unknown = JSON.parse(request.body || '{}')
    if (request.method === 'PUT') volume.metadata.clear()
    for (const [key, value] of Object.entries(Object(Object(given).metadata))) volume.metadata.set(key, String(value))
  }
  return json(200, { metadata: Object.fromEntries(volume.metadata) }, headers)
}
