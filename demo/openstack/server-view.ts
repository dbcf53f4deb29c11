import { createHash } from 'node:crypto'
import type { Cloud, InstanceAction, ServerRecord } from './cloud.ts'
import { zoneless, zulu } from './cloud.ts'

const STATUS: Record<string, string> = {
  active: 'ACTIVE',
  building: 'BUILD',
  stopped: 'SHUTOFF',
  paused: 'PAUSED',
  suspended: 'SUSPENDED',
  rescued: 'RESCUE',
  resized: 'VERIFY_RESIZE',
  'soft-delete': 'SOFT_DELETED',
  deleted: 'DELETED',
  error: 'ERROR',
  shelved: 'SHELVED',
  shelved_offloaded: 'SHELVED_OFFLOADED',
}

/** Nova's words for power. */
export const POWER = { running: 1, paused: 3, shutdown: 4, none: 0 } as const

/** Every status that nova filters by. */
export const STATUSES: ReadonlySet<string> = new Set([
  ...Object.values(STATUS),
  ...'REBUILD REBOOT HARD_REBOOT RESIZE MIGRATING PASSWORD REVERT_RESIZE UNKNOWN'.split(' '),
])

/** What the API calls the state of a server. */
export function statusOf(server: ServerRecord): string {
  if (server.taskState === 'rebuilding') return 'REBUILD'
  return STATUS[server.vmState] ?? 'UNKNOWN'
}

/** The inner state behind a status: `SHUTOFF` is `stopped`. */
export function vmStateOf(status: string): string {
  return Object.keys(STATUS).find((state) => STATUS[state] === status) ?? status.toLowerCase()
}

/** The power that a server has in a state. */
export function powerOf(vmState: string): number {
  if (vmState === 'active' || vmState === 'rescued' || vmState === 'resized') return POWER.running
  if (vmState === 'paused') return POWER.paused
  return vmState === 'building' || vmState === 'error' ? POWER.none : POWER.shutdown
}

/** What members are told of the host: the same for two servers of a project, and another one in another project. */
function hostIdOf({ host, projectId }: ServerRecord): string {
  return host === '' ? '' : createHash('sha224').update(projectId + host).digest('hex')
}

/** Its two addresses. */
export function serverLinks(cloud: Cloud, id: string): object[] {
  return [
    { rel: 'self', href: `${cloud.url}/compute/v2.1/servers/${id}` },
    { rel: 'bookmark', href: `${cloud.url}/compute/servers/${id}` },
  ]
}

/** What a list without detail has of it. */
export function serverBrief(cloud: Cloud, { id, name }: ServerRecord): object {
  return { id, name, links: serverLinks(cloud, id) }
}

/**
 * A server as JSON, with what its microversion knows.
 *
 * @param single - Not in a list: a few things are shown only so.
 */
export function serverView(cloud: Cloud, server: ServerRecord, minor: number, single: boolean): object {
  return {
    ...serverHead(cloud, server, minor),
    'OS-EXT-AZ:availability_zone': 'nova',
    config_drive: '',
    key_name: server.keyName,
    'OS-SRV-USG:launched_at': server.launchedAt === null ? null : zoneless(server.launchedAt),
    'OS-SRV-USG:terminated_at': null,
    'OS-EXT-STS:task_state': server.taskState,
    'OS-EXT-STS:vm_state': server.vmState,
    'OS-EXT-STS:power_state': server.powerState,
    'os-extended-volumes:volumes_attached': server.attachments.map(({ volumeId, deleteOnTermination }) =>
      minor >= 3 ? { id: volumeId, delete_on_termination: deleteOnTermination } : { id: volumeId },
    ),
    // A fault is shown in the states that it can have led to, and in no other.
    ...((server.vmState === 'error' || server.vmState === 'deleted') &&
      server.fault && { fault: faultView(server.fault) }),
    ...(minor >= 9 && { locked: server.locked }),
    ...(minor >= 73 && { locked_reason: null }),
    ...(minor >= 19 && { description: null }),
    ...(minor >= 26 && { tags: server.tags }),
    ...(minor >= 63 && { trusted_image_certificates: null }),
    ...(minor >= 90 && { 'OS-EXT-SRV-ATTR:hostname': server.name }),
    ...(minor >= 71 && single && { server_groups: [] }),
  }
}

function faultView({ code, message, createdAt }: NonNullable<ServerRecord['fault']>): object {
  return { code, created: zulu(createdAt), message }
}

/** What the answer to a rebuild has of it. */
export function serverHead(cloud: Cloud, server: ServerRecord, minor: number): object {
  const { imageRef } = server
  const bookmark = `${cloud.url}/compute/images/${imageRef}`
  return {
    id: server.id,
    name: server.name,
    status: statusOf(server),
    tenant_id: server.projectId,
    user_id: server.userId,
    metadata: Object.fromEntries(server.metadata),
    hostId: hostIdOf(server),
    // Empty for a volume-backed server, unless it was booted from an image all the same (lab README §9).
    image: imageRef === '' ? '' : { id: imageRef, links: [{ rel: 'bookmark', href: bookmark }] },
    flavor: flavorOf(cloud, server.flavorId, minor),
    created: zulu(server.createdAt),
    updated: zulu(server.updatedAt),
    addresses: {},
    accessIPv4: '',
    accessIPv6: '',
    links: serverLinks(cloud, server.id),
    'OS-DCF:diskConfig': 'MANUAL',
    progress: 0,
  }
}

/** From 2.47 a server carries a copy of its flavor instead of a link to it. */
function flavorOf(cloud: Cloud, id: string, minor: number): object {
  if (minor < 47) return { id, links: [{ rel: 'bookmark', href: `${cloud.url}/compute/flavors/${id}` }] }
  const { vcpus = 1, ram = 64, disk = 0 } = cloud.flavors.get(id) ?? {}
  return { vcpus, ram, disk, ephemeral: 0, swap: 0, original_name: id, extra_specs: {} }
}

/** A flavor as JSON; in a list without detail only its head. */
export function flavorView(cloud: Cloud, id: string, detail: boolean, minor: number): object {
  const { vcpus = 1, ram = 64, disk = 0 } = cloud.flavors.get(id) ?? {}
  return {
    id,
    name: id,
    ...(detail && {
      ram,
      disk,
      swap: minor >= 75 ? 0 : '',
      'OS-FLV-EXT-DATA:ephemeral': 0,
      'OS-FLV-DISABLED:disabled': false,
      vcpus,
      'os-flavor-access:is_public': true,
      rxtx_factor: 1,
    }),
    links: [
      { rel: 'self', href: `${cloud.url}/compute/v2.1/flavors/${id}` },
      { rel: 'bookmark', href: `${cloud.url}/compute/flavors/${id}` },
    ],
    ...(detail && minor >= 55 && { description: null }),
    ...(detail && minor >= 61 && { extra_specs: {} }),
  }
}

/** An entry of os-instance-actions; the single one has its events, for members from 2.51. */
export function actionView(server: ServerRecord, entry: InstanceAction, minor: number, single: boolean): object {
  return {
    action: entry.action,
    instance_uuid: server.id,
    request_id: entry.requestId,
    user_id: entry.userId,
    project_id: server.projectId,
    start_time: zoneless(entry.startedAt),
    message: entry.message,
    ...(minor >= 58 && { updated_at: zoneless(entry.updatedAt) }),
    ...(single &&
      minor >= 51 && {
        events: entry.events.map(({ event, startedAt, finishedAt, result }) => ({
          event,
          start_time: zoneless(startedAt),
          finish_time: finishedAt === null ? null : zoneless(finishedAt),
          result,
          ...(minor >= 62 && { hostId: hostIdOf(server) }),
        })),
      }),
  }
}

/** An entry of os-volume_attachments. */
export function attachmentView(server: ServerRecord, minor: number): object[] {
  return server.attachments.map(({ volumeId, device, deleteOnTermination, attachmentId, bdmId }) => ({
    ...(minor < 89 && { id: volumeId }),
    volumeId,
    serverId: server.id,
    device,
    ...(minor >= 70 && { tag: null }),
    ...(minor >= 79 && { delete_on_termination: deleteOnTermination }),
    ...(minor >= 89 && { attachment_id: attachmentId, bdm_uuid: bdmId }),
  }))
}
