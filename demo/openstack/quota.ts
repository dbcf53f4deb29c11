import type { Answer, WireRequest } from './answer.ts'
import { Refusal, json } from './answer.ts'
import type { Cloud, FlavorRecord, ProjectRecord, ServerRecord, TokenRecord, VolumeRecord } from './cloud.ts'
import { checkCount, isObject, parseBody } from './request-schema.ts'

/** The quotas that Nova and Cinder keep for a project: what the lab has. */
export const DEFAULT_QUOTAS = {
  instanceQuota: 1000,
  coreQuota: 10_000,
  ramQuota: 10_000_000,
  volumeQuota: 1000,
  gigabyteQuota: 1_000_000,
} as const

/** A quota that an operator can set. */
export type Quota = keyof typeof DEFAULT_QUOTAS

/** What the wire calls them. */
export const COMPUTE_QUOTAS: Readonly<Record<string, Quota>> = { instances: 'instanceQuota', cores: 'coreQuota', ram: 'ramQuota' }
export const VOLUME_QUOTAS: Readonly<Record<string, Quota>> = { volumes: 'volumeQuota', gigabytes: 'gigabyteQuota' }

/** `PUT` and `DELETE /os-quota-sets/PROJECT`, for administrators; undefined for any other method. */
export function quotaSet(
  cloud: Cloud,
  caller: TokenRecord,
  request: WireRequest,
  projectId: string | undefined,
  names: Readonly<Record<string, Quota>>,
): Answer | undefined {
  const project = cloud.projects.get(projectId ?? '')
  if (project === undefined || (request.method !== 'PUT' && request.method !== 'DELETE')) return undefined
  if (caller.role !== 'admin') {
    throw new Refusal(403, "Policy doesn't allow os_compute_api:os-quota-sets:update to be performed.")
  }
  if (request.method === 'DELETE') {
    for (const quota of Object.values(names)) project[quota] = DEFAULT_QUOTAS[quota]
    return json(202, {})
  }
  const given = parseBody(request.body)['quota_set']
  if (!isObject(given)) throw new Refusal(400, "'quota_set' is a required property")
  for (const [name, quota] of Object.entries(names)) if (name in given) project[quota] = checkCount(name, given[name])
  return json(200, { quota_set: Object.fromEntries(Object.entries(names).map(([name, quota]) => [name, project[quota]])) })
}

/** What a project's servers take up. */
export function serversUsed(cloud: Cloud, project: ProjectRecord | undefined): { instances: number; cores: number; ram: number } {
  const used = { instances: 0, cores: 0, ram: 0 }
  for (const server of cloud.servers.values()) {
    if (server.projectId !== project?.id) continue
    const { vcpus = 1, ram = 64 } = cloud.flavors.get(server.flavorId) ?? {}
    used.instances += 1
    used.cores += vcpus
    used.ram += ram
  }
  return used
}

/** What a project's volumes take up; a volume snapshot counts with the size of its volume. */
export function volumesUsed(cloud: Cloud, project: ProjectRecord | undefined): { volumes: number; gigabytes: number } {
  const own = (record: { projectId: string }): boolean => record.projectId === project?.id
  const volumes = [...cloud.volumes.values()].filter(own)
  const parts = [...volumes, ...[...cloud.snapshots.values()].filter(own)]
  return { volumes: volumes.length, gigabytes: parts.reduce((sum, { size }) => sum + size, 0) }
}

/** @throws {@link Refusal} 403 in Nova's words, for the first quota that has no room for one more server. */
export function demandRoom(cloud: Cloud, project: ProjectRecord, { vcpus, ram }: FlavorRecord): void {
  const used = serversUsed(cloud, project)
  const wanted = { instances: 1, cores: vcpus, ram }
  for (const name of ['instances', 'cores', 'ram'] as const) {
    const quota = project[COMPUTE_QUOTAS[name]!]
    if (used[name] + wanted[name] <= quota) continue
    throw new Refusal(403, `Quota exceeded for ${name}: Requested ${wanted[name]}, but already used ${used[name]} of ${quota} ${name}`)
  }
}

/** Why Cinder makes no more volumes for a server, which is found out while it is built. */
export function lackOfVolumes(cloud: Cloud, server: ServerRecord, wanted: readonly Pick<VolumeRecord, 'size'>[]): string | undefined {
  const project = cloud.projects.get(server.projectId)
  if (project === undefined || wanted.length === 0) return undefined
  const { volumes, gigabytes } = volumesUsed(cloud, project)
  const size = wanted.reduce((sum, each) => sum + each.size, 0)
  if (volumes + wanted.length > project.volumeQuota) {
    return `Build of instance ${server.id} aborted: VolumeLimitExceeded: Maximum number of volumes allowed (${project.volumeQuota}) exceeded for quota 'volumes'.`
  }
  if (gigabytes + size > project.gigabyteQuota) {
    return `Build of instance ${server.id} aborted: VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota.`
  }
  return undefined
}
