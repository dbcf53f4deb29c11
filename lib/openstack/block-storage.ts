import * as z from 'zod'
import type { Permission } from '../model/examination.ts'
import type { Volume, VolumeSnapshot } from '../model/image.ts'
import type { VolumeQuotas } from '../model/quota.ts'
import { parseAnswer, quotaOf } from './answer.ts'
import { linksSchema, nextOf, readPages } from './pages.ts'
import { nothing, permission } from './permission.ts'
import type { Session } from './session.ts'

const snapshotSchema = z
  .object({ id: z.guid(), name: z.string().nullish(), volume_id: z.string(), status: z.string(), size: z.number() })
  .transform(({ id, name, volume_id, status, size }): VolumeSnapshot => ({ id, name: name ?? '', volume: volume_id, status, sizeGiB: size }))
const snapshotsSchema = z
  .object({ snapshots: z.array(snapshotSchema), snapshots_links: linksSchema })
  .transform(({ snapshots, snapshots_links }) => ({ snapshots, next: nextOf(snapshots_links) }))

const volumeSchema = z
  .object({
    volume: z.object({
      id: z.guid(),
      status: z.string(),
      // Cinder writes "true" and "false".
      bootable: z.union([z.boolean(), z.string()]),
      volume_image_metadata: z.record(z.string(), z.unknown()).default({}),
    }),
  })
  .transform(
    ({ volume: { id, status, bootable, volume_image_metadata } }): Volume => ({
      id,
      status,
      bootable: String(bootable).toLowerCase() === 'true',
      imageMetadata: Object.fromEntries(Object.entries(volume_image_metadata).filter((entry): entry is [string, string] => typeof entry[1] === 'string')),
    }),
  )

const volumeSizesSchema = z
  .object({ volumes: z.array(z.object({ id: z.guid(), size: z.number().min(0) })), volumes_links: linksSchema })
  .transform(({ volumes, volumes_links }) => ({ volumes, next: nextOf(volumes_links) }))
const limitsSchema = z
  .object({
    limits: z.object({
      absolute: z.object({
        maxTotalVolumes: z.number(),
        totalVolumesUsed: z.number(),
        maxTotalSnapshots: z.number(),
        totalSnapshotsUsed: z.number(),
        maxTotalVolumeGigabytes: z.number(),
        totalGigabytesUsed: z.number(),
      }),
    }),
  })
  .transform(
    ({ limits: { absolute } }): VolumeQuotas => ({
      volumes: quotaOf(absolute.maxTotalVolumes, absolute.totalVolumesUsed),
      snapshots: quotaOf(absolute.maxTotalSnapshots, absolute.totalSnapshotsUsed),
      gigabytes: quotaOf(absolute.maxTotalVolumeGigabytes, absolute.totalGigabytesUsed),
    }),
  )
const typesSchema = z.object({ volume_types: z.array(z.object({ id: z.string(), name: z.string() })) })

/** Cinder v3, as far as volume-backed images need it. @see https://docs.openstack.org/api-ref/block-storage/v3/ */
export class BlockStorage {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** Lists every snapshot of the project, `GET /snapshots/detail`, in pages of 1000. @returns them by id. */
  async listSnapshots(): Promise<Map<string, VolumeSnapshot>> {
    const pages = await readPages(this.#session, 'block-storage', '/snapshots/detail?limit=1000', snapshotsSchema, 'Listing volume snapshots')
    return new Map(pages.flatMap(({ snapshots }) => snapshots).map((snapshot) => [snapshot.id, snapshot]))
  }

  /** `GET /volumes/{id}`. @returns undefined when Cinder answers 404. */
  async getVolume(id: string): Promise<Volume | undefined> {
    const what = `Looking up volume ${id}`
    const answer = await this.#session.send('block-storage', `/volumes/${encodeURIComponent(id)}`, { method: 'GET', expect: [404], what })
    return answer.status === 404 ? undefined : parseAnswer(answer, volumeSchema, what)
  }

  /** What the project may have and has, `GET /limits`. */
  async getQuotas(): Promise<VolumeQuotas> {
    return this.#session.get('block-storage', '/limits', limitsSchema, { what: 'Looking up the quotas of volumes' })
  }

  /** The kinds of storage that the project may use, `GET /types`. */
  async listVolumeTypes(): Promise<{ readonly id: string; readonly name: string }[]> {
    return (await this.#session.get('block-storage', '/types', typesSchema, { what: 'Listing volume types' })).volume_types
  }

  /** `GET /snapshots/{id}`. @returns false when Cinder answers 404. */
  async hasSnapshot(id: string): Promise<boolean> {
    const answer = await this.#session.send('block-storage', `/snapshots/${encodeURIComponent(id)}`, { method: 'GET', expect: [404], what: `Looking up volume snapshot ${id}` })
    return answer.status !== 404
  }

  /**
   * `DELETE /snapshots/{id}`. Cinder accepts it (202) and may still fail, silently: a busy snapshot goes back to
   * `available` (lab finding, §1). Look again later.
   *
   * @returns false when it was gone already.
   */
  async deleteSnapshot(id: string): Promise<boolean> {
    const answer = await this.#session.send('block-storage', `/snapshots/${encodeURIComponent(id)}`, { method: 'DELETE', expect: [404], what: `Deleting volume snapshot ${id}` })
    return answer.status !== 404
  }

  /** The sizes of the project's volumes in GiB, by their ids. */
  async volumeSizes(): Promise<Map<string, number>> {
    const pages = await readPages(this.#session, 'block-storage', '/volumes/detail?limit=1000', volumeSizesSchema, 'Listing volumes')
    return new Map(pages.flatMap(({ volumes }) => volumes).map(({ id, size }) => [id, size]))
  }

  /** Whether snapshots may be listed. */
  mayReadSnapshots(): Promise<Permission> {
    return permission(this.#session, 'block-storage', '/snapshots/detail?limit=1', { method: 'GET', what: 'Asking whether volume snapshots may be listed' })
  }

  /** Whether snapshots may be deleted, as {@link permission} can tell. */
  mayDeleteSnapshots(): Promise<Permission> {
    return permission(this.#session, 'block-storage', `/snapshots/${nothing}`, { method: 'DELETE', what: 'Asking whether volume snapshots may be deleted' })
  }
}
