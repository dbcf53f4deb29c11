import * as z from 'zod'
import { ScheduledImagesError } from '../model/errors.ts'
import type { Permission } from '../model/examination.ts'
import type { Quota } from '../model/quota.ts'
import type { Image } from '../model/image.ts'
import { parseAnswer, quotaOf } from './answer.ts'
import { readPages } from './pages.ts'
import { nothing, permission } from './permission.ts'
import type { Session } from './session.ts'
import { OpenStackError } from './transport.ts'

/** Attributes that Glance keeps itself; everything else at the top of an image is a property. */
const baseAttributes = new Set([
  'id', 'name', 'status', 'owner', 'created_at', 'updated_at', 'protected', 'size', 'virtual_size', 'tags', 'visibility', 'min_disk', 'min_ram',
  'disk_format', 'container_format', 'checksum', 'os_hash_algo', 'os_hash_value', 'os_hidden', 'file', 'self', 'schema', 'stores', 'direct_url', 'locations',
])

const imageSchema = z
  .looseObject({
    id: z.guid(),
    name: z.string().nullish(),
    status: z.string(),
    owner: z.string().nullish(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime().optional().catch(undefined),
    protected: z.boolean(),
    visibility: z.string(),
    os_hidden: z.boolean().default(false),
    size: z.number().int().min(0).nullish(),
    min_disk: z.number().nullish(),
    min_ram: z.number().nullish(),
    tags: z.array(z.string()).default([]),
  })
  .transform(
    (image): Image => ({
      id: image.id,
      name: image.name ?? '',
      status: image.status,
      owner: image.owner ?? '',
      createdAt: new Date(image.created_at),
      updatedAt: image.updated_at === undefined ? undefined : new Date(image.updated_at),
      protected: image.protected,
      visibility: image.visibility,
      hidden: image.os_hidden,
      size: image.size ?? null,
      minDiskGiB: image.min_disk ?? 0,
      minRamMiB: image.min_ram ?? 0,
      tags: image.tags,
      properties: Object.fromEntries(
        Object.entries(image).filter((entry): entry is [string, string] => !baseAttributes.has(entry[0]) && typeof entry[1] === 'string'),
      ),
    }),
  )
const jsonPatch = 'application/openstack-images-v2.1-json-patch'
const imagesSchema = z.object({ images: z.array(imageSchema), next: z.string().optional() })

const quotaSchema = z.object({ usage: z.number().min(0), limit: z.number().min(-1) }).transform(({ usage, limit }) => quotaOf(limit, usage))
const usageSchema = z.object({ usage: z.object({ image_count_total: quotaSchema.optional(), image_size_total: quotaSchema.optional() }) })

/** How often a listing is begun anew when its marker was deleted meanwhile. */
const mostRestarts = 3

/** Glance v2, as far as snapshots need it. @see https://docs.openstack.org/api-ref/image/v2/ */
export class ImageService {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /**
   * Lists every image of an owner that has these property values, `GET /images`, in pages of 1000: those that are hidden, or (by default) those that are not.
   *
   * The values are compared again here, exactly: Glance compares without letter case (lab finding, §5). A page whose
   * marker was deleted meanwhile makes Glance answer 400; then the listing begins anew.
   *
   * @throws ScheduledImagesError when it is not complete.
   */
  async listImages(filter: { owner: string; properties: Record<string, string>; hidden?: boolean }): Promise<Image[]> {
    const query = new URLSearchParams({ limit: '1000', owner: filter.owner, ...filter.properties, ...(filter.hidden && { os_hidden: 'true' }) })
    for (let restarts = 0; ; restarts += 1) {
      try {
        const pages = await readPages(this.#session, 'image', `/images?${query}`, imagesSchema, 'Listing images')
        const images = pages.flatMap((page) => page.images)
        return images.filter(
          ({ owner, properties }) => owner === filter.owner && Object.entries(filter.properties).every(([name, value]) => properties[name] === value),
        )
      } catch (error) {
        const markerGone = error instanceof OpenStackError && error.status === 400 && error.answer.includes('No image found')
        if (!markerGone || restarts >= mostRestarts) throw error
      }
    }
  }

  /** `GET /images/{id}`. @returns undefined when Glance answers 404: it is gone, or was never there. */
  async getImage(id: string): Promise<Image | undefined> {
    const what = `Looking up image ${id}`
    const answer = await this.#session.send('image', `/images/${encodeURIComponent(id)}`, { method: 'GET', expect: [404], what })
    return answer.status === 404 ? undefined : parseAnswer(answer, imageSchema, what)
  }

  /**
   * Adds properties and tags in one PATCH; the others stay. Repeating it changes nothing.
   *
   * Only an `active` image keeps what it is given: an upload that ends writes back the image it began with (lab finding, §1).
   */
  async addMarks(image: Image, properties: Record<string, string>, tags: readonly string[]): Promise<void> {
    const body = [
      ...Object.entries(properties).map(([name, value]) => ({ op: 'add', path: `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, value })),
      // The image may have been listed a while ago: tags that it has got since are spared where they can be.
      ...(tags.every((tag) => image.tags.includes(tag)) ? [] : [{ op: 'replace', path: '/tags', value: [...new Set([...image.tags, ...tags])] }]),
    ]
    await this.#session.send('image', `/images/${encodeURIComponent(image.id)}`, {
      method: 'PATCH',
      body,
      contentType: jsonPatch,
      what: `Marking image ${image.id}`,
    })
  }

  /** Has Glance refuse to delete an image, by whomever; or no longer. */
  async setProtected(id: string, isProtected: boolean): Promise<void> {
    await this.#session.send('image', `/images/${encodeURIComponent(id)}`, {
      method: 'PATCH',
      body: [{ op: 'replace', path: '/protected', value: isProtected }],
      contentType: jsonPatch,
      what: `${isProtected ? 'Protecting' : 'No longer protecting'} image ${id}`,
    })
  }

  /** Makes an image `shared`, so that it can have members, or `private` again. Like {@link addMarks} it lasts on an `active` image only. */
  async setVisibility(id: string, visibility: 'shared' | 'private'): Promise<void> {
    await this.#session.send('image', `/images/${encodeURIComponent(id)}`, {
      method: 'PATCH',
      body: [{ op: 'replace', path: '/visibility', value: visibility }],
      contentType: jsonPatch,
      what: `Making image ${id} ${visibility}`,
    })
  }

  /**
   * Lets another project see and boot from an image, `POST /images/{id}/members`. That project finds it in its listings once it has accepted it.
   * A project that is a member already stays one, accepted or not.
   *
   * @param project - An id. Glance does not ask whether there is such a project.
   * @throws ScheduledImagesError `FORBIDDEN` for an image that is not `shared`.
   */
  async addMember(id: string, project: string): Promise<void> {
    await this.#session.send('image', `/images/${encodeURIComponent(id)}/members`, {
      method: 'POST',
      body: { member: project },
      expect: [409],
      what: `Sharing image ${id} with project ${project}`,
    })
  }

  /** `DELETE /images/{id}/members/{project}`; nothing happens when it is no member. What the project has booted from the image stays. */
  async removeMember(id: string, project: string): Promise<void> {
    await this.#session.send('image', `/images/${encodeURIComponent(id)}/members/${encodeURIComponent(project)}`, {
      method: 'DELETE',
      expect: [404],
      what: `No longer sharing image ${id} with project ${project}`,
    })
  }

  /**
   * `DELETE /images/{id}`.
   *
   * @returns false when it was gone already.
   * @throws ScheduledImagesError `FORBIDDEN` for a protected image, `CONFLICT` for one that others are made from.
   */
  async deleteImage(id: string): Promise<boolean> {
    const answer = await this.#session
      .send('image', `/images/${encodeURIComponent(id)}`, { method: 'DELETE', expect: [404], what: `Deleting image ${id}` })
      .catch((error: unknown) => {
        if (!(error instanceof OpenStackError) || error.status !== 409) throw error
        const message = `Image ${id} is in use: a volume or a server was made from it as a copy on write. ${error.message}`
        throw new ScheduledImagesError('CONFLICT', message, { cause: error, requestId: error.requestId })
      })
    return answer.status !== 404
  }

  /**
   * What the project has of images: `count`, and `size` in MiB. `GET /info/usage`; there is one from OpenStack Wallaby on, where Keystone keeps limits.
   *
   * @returns undefined where Glance has none.
   */
  async usage(): Promise<{ readonly count: Quota | undefined; readonly size: Quota | undefined } | undefined> {
    const what = 'Asking Glance for the quota'
    const answer = await this.#session.send('image', '/info/usage', { method: 'GET', expect: [404], what })
    if (answer.status === 404) return undefined
    const { image_count_total, image_size_total } = parseAnswer(answer, usageSchema, what).usage
    return { count: image_count_total, size: image_size_total }
  }

  /**
   * Whether images may be changed, as far as {@link permission} can tell.
   *
   * @param image - The id of one of the project's own; of one image Glance says more than of none. A property that it does not have is
   *   replaced, which Glance refuses (409) after its policy has let the caller in, so nothing changes.
   */
  mayChangeImages(image: string | undefined): Promise<Permission> {
    const body = [{ op: 'replace', path: '/scheduled_images__none', value: '' }]
    return permission(this.#session, 'image', `/images/${encodeURIComponent(image ?? nothing)}`, { method: 'PATCH', body, contentType: jsonPatch, what: 'Asking whether images may be changed' })
  }

  mayDeleteImages(): Promise<Permission> {
    return permission(this.#session, 'image', `/images/${nothing}`, { method: 'DELETE', what: 'Asking whether images may be deleted' })
  }
}
