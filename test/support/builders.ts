import { createdBy, marks, type Image } from '../../lib/model/image.ts'
import type { Run } from '../../lib/model/run.ts'
import { parseSchedule, type Schedule } from '../../lib/model/schedule.ts'
import type { Server } from '../../lib/model/server.ts'

export const project = 'b41cef31000040008000000000000001'
export const web1 = '47c3f6b0-0000-4000-8000-000000000001'
export const web2 = '47c3f6b0-0000-4000-8000-000000000002'

/** A UUID that ends in a number, so that a failure can be read. */
export function id(n: number): string {
  return `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
}

/** A valid daily schedule of {@link web1} at 01:00 UTC without spread, but for what is given. */
export function schedule(attributes: Record<string, unknown> = {}): Schedule {
  const parsed = parseSchedule({ cadence: 'daily', schedule: 'web-1', server: web1, retention: 3, spread: 0, ...attributes })
  if (!parsed.valid) throw new Error(parsed.invalid.faults.map(({ message }) => message).join(' '))
  return parsed.schedule
}

export function server(attributes: Partial<Server> = {}): Server {
  return { id: web1, name: 'web-1', status: 'ACTIVE', taskState: null, volumes: [], tags: [], metadata: {}, host: undefined, image: undefined, ...attributes }
}

/** A run of {@link web1} for 2026-11-21 that is saving image 1, but for what is given. */
export function run(attributes: Partial<Run> = {}): Run {
  return {
    cloud: 'default', server: web1, serverName: 'web-1', schedule: 'daily/web-1', period: '2026-11-21', status: 'saving', runId: 'run-1',
    attempt: 1, scheduledFor: new Date('2026-11-21T01:00:00Z'), until: new Date('2026-11-22T01:00:00Z'),
    startedAt: new Date('2026-11-21T01:00:00Z'), leaseUntil: new Date('2026-11-21T01:10:00Z'), volumes: [],
    imageName: 'Daily-web-1-1', image: id(1), ...attributes,
  }
}

/** An `active` image of {@link run}, not sealed. */
export function image(attributes: Partial<Image> = {}): Image {
  return {
    id: id(1), name: 'Daily-web-1-1', status: 'active', owner: project, createdAt: new Date('2026-11-21T01:00:00Z'), protected: false, visibility: 'private', hidden: false, size: 16_384, minDiskGiB: 0, minRamMiB: 0, tags: [],
    ...attributes,
    properties: {
      [marks.createdBy]: createdBy, [marks.server]: web1, [marks.schedule]: 'daily/web-1', [marks.period]: '2026-11-21', [marks.run]: 'run-1',
      ...attributes.properties,
    },
  }
}

/** The same, sealed with its own id. */
export function sealed(attributes: Partial<Image> = {}): Image {
  const unsealed = image(attributes)
  return { ...unsealed, properties: { ...unsealed.properties, [marks.seal]: unsealed.id } }
}

/** The `block_device_mapping` that Nova writes for a volume-backed server. */
export function mapping(...snapshots: readonly string[]): Record<string, string> {
  const devices = snapshots.map((snapshot_id, i) => ({ snapshot_id, source_type: 'snapshot', destination_type: 'volume', boot_index: i === 0 ? 0 : null, volume_id: null }))
  return { block_device_mapping: JSON.stringify(devices), bdm_v2: 'True', root_device_name: '/dev/sda' }
}
