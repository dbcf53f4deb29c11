import * as z from 'zod'
import type { Permission, Quota } from '../model/examination.ts'
import type { Volume, VolumeSnapshot } from '../model/image.ts'
import { parseAnswer } from './answer.ts'
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
      // Cinder writes "true" and "false".
      bootable: z.union([z.boolean(), z.string()]),
      volume_image_metadata: z.record(z.string(), z.unknown()).default({}),
    }),
  })
  .transform(
    ({ volume: { id, bootable, volume_image_metadata } }): Volume => ({
      id,
      bootable: String(bootable).toLowerCase() === 'true',
      imageMetadata: Object.fromEntries(Object.entries(volume_image_metadata).filter((entry): entry is [string, string] => typeof entry[1] === 'string')),
    }),
  )

const volumeSizesSchema = z
  .object({ volumes: z.array(z.object({ id: z.guid(), size: z.number().min(0) })), volumes_links: linksSchema })
  .transform(({ volumes, volumes_links }) => ({ volumes, next: nextOf(volumes_links) }))
const amount = z.number().min(-1)
const limitsSchema = z
  .object({ limits: z.object({ absolute: z.object({ maxTotalSnapshots: amount, totalSnapshotsUsed: amount, maxTotalVolumeGigabytes: amount, totalGigabytesUsed: amount }) }) })
  .transform(({ limits: { absolute } }) => ({
    snapshots: quota(absolute.totalSnapshotsUsed, absolute.maxTotalSnapshots),
    gigabytes: quota(absolute.totalGigabytesUsed, absolute.maxTotalVolumeGigabytes),
  }))

/** A limit of -1 is none. */
function quota(used: number, limit: number): Quota {
  return { used, limit: limit === -1 ? undefined : limit }
}

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

  /** What the project may have: `snapshots`, and `gigabytes` (GiB) of volumes and their snapshots together. `GET /limits`. */
  async limits(): Promise<{ readonly snapshots: Quota; readonly gigabytes: Quota }> {
    return this.#session.get('block-storage', '/limits', limitsSchema, { what: 'Asking Cinder for the quota' })
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
