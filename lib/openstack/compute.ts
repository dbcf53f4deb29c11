import * as z from 'zod'
import { ScheduledImagesError, type ErrorCode } from '../model/errors.ts'
import type { Permission } from '../model/examination.ts'
import type { Flavor } from '../model/flavor.ts'
import type { ComputeQuotas } from '../model/quota.ts'
import type { NewServer, Server, ServerDetails } from '../model/server.ts'
import { json, parseAnswer, quotaOf } from './answer.ts'
import { linksSchema, nextOf, readPages } from './pages.ts'
import { nothing, permission } from './permission.ts'
import type { Session } from './session.ts'
import { OpenStackError, type Answer } from './transport.ts'

const serverSchema = z
  .object({
    id: z.guid(),
    name: z.string(),
    status: z.string(),
    'OS-EXT-STS:task_state': z.string().nullable(),
    'os-extended-volumes:volumes_attached': z.array(z.object({ id: z.string() })).default([]),
    tags: z.array(z.string()).optional(),
    metadata: z.record(z.string(), z.string()).default({}),
    hostId: z.string().nullish(),
    // Of a server that boots from a volume it is an empty string.
    image: z.union([z.object({ id: z.string() }), z.literal('')]).nullish(),
  })
  .transform(
    (server): Server => ({
      id: server.id.toLowerCase(),
      name: server.name,
      status: server.status.toUpperCase(),
      taskState: server['OS-EXT-STS:task_state'],
      volumes: server['os-extended-volumes:volumes_attached'].map(({ id }) => id),
      tags: server.tags,
      metadata: server.metadata,
      host: server.hostId || undefined,
      image: server.image ? server.image.id : undefined,
    }),
  )
const serversSchema = z
  .object({ servers: z.array(serverSchema), servers_links: linksSchema })
  .transform(({ servers, servers_links }) => ({ servers, next: nextOf(servers_links) }))
const showSchema = z.object({ server: serverSchema })
const detailsSchema = z.object({
  server: z.object({
    flavor: z.object({ id: z.string().optional() }).nullish(),
    locked: z.boolean().default(false),
    fault: z.object({ message: z.string().nullish() }).nullish(),
  }),
})
const attachmentsSchema = z.object({ volumeAttachments: z.array(z.object({ volumeId: z.string(), device: z.string().nullish() })) })
const flavorsSchema = z
  .object({
    flavors: z.array(
      z
        .object({ id: z.string(), name: z.string(), vcpus: z.number(), ram: z.number(), disk: z.number(), 'OS-FLV-EXT-DATA:ephemeral': z.number().default(0) })
        .transform(({ id, name, vcpus, ram, disk, ...rest }): Flavor => ({ id, name, vcpus, ramMiB: ram, diskGiB: disk, ephemeralGiB: rest['OS-FLV-EXT-DATA:ephemeral'] })),
    ),
    flavors_links: linksSchema,
  })
  .transform(({ flavors, flavors_links }) => ({ flavors, next: nextOf(flavors_links) }))
const limitsSchema = z
  .object({
    limits: z.object({
      absolute: z.object({
        maxTotalInstances: z.number(),
        totalInstancesUsed: z.number(),
        maxTotalCores: z.number(),
        totalCoresUsed: z.number(),
        maxTotalRAMSize: z.number(),
        totalRAMUsed: z.number(),
      }),
    }),
  })
  .transform(
    ({ limits: { absolute } }): ComputeQuotas => ({
      instances: quotaOf(absolute.maxTotalInstances, absolute.totalInstancesUsed),
      cores: quotaOf(absolute.maxTotalCores, absolute.totalCoresUsed),
      ramMiB: quotaOf(absolute.maxTotalRAMSize, absolute.totalRAMUsed),
    }),
  )
const madeSchema = z.object({ server: z.object({ id: z.guid() }) })
const imageIdSchema = z.object({ image_id: z.guid() })

/** From this microversion on servers show their tags. */
const tagsMicroversion = '2.26'
/** From this microversion on the id of the new image is in the body; below it is in `Location` only (lab finding, §1). */
const createImageMicroversion = '2.45'
/** From this microversion on a request says itself what becomes of networks: `auto`, `none`, or which. */
const networksMicroversion = '2.37'
/** From this microversion on a request may say of what type a volume is to be. */
const volumeTypeMicroversion = '2.67'
/** A busy Nova answers after 12 s, and a volume-backed server with many volumes later still (lab finding, §10). */
const longActionTimeoutMs = 120_000

/** Nova, as far as snapshots need it. @see https://docs.openstack.org/api-ref/compute/ */
export class Compute {
  readonly #session: Session
  /** Assumed until the cloud refuses {@link tagsMicroversion}. */
  #showsTags = true

  constructor(session: Session) {
    this.#session = session
  }

  /**
   * Lists every server of the project, `GET /servers/detail`, in pages of 1000.
   *
   * No filter is sent: Nova ignores those that it does not know, and matches names as regular expressions (lab finding, §7).
   */
  async listServers(): Promise<Server[]> {
    const read = (headers: Headers) => readPages(this.#session, 'compute', '/servers/detail?limit=1000', serversSchema, 'Listing servers', headers)
    const pages = await this.#withTags(read)
    return pages.flatMap(({ servers }) => servers)
  }

  /** `GET /servers/{id}`. @returns undefined when it does not exist. */
  async getServer(id: string): Promise<Server | undefined> {
    const what = `Looking up server ${id}`
    const answer = await this.#withTags((headers) => this.#session.send('compute', `/servers/${encodeURIComponent(id)}`, { method: 'GET', expect: [404], what, headers }))
    return answer.status === 404 ? undefined : parseAnswer(answer, showSchema, what).server
  }

  /** The same with what can be seen of one server only. It takes two requests. @returns undefined when it does not exist. */
  async inspectServer(id: string): Promise<ServerDetails | undefined> {
    const what = `Looking up server ${id}`
    const path = `/servers/${encodeURIComponent(id)}`
    const answer = await this.#withTags((headers) => this.#session.send('compute', path, { method: 'GET', expect: [404], what, headers }))
    if (answer.status === 404) return undefined
    const { server } = parseAnswer(answer, showSchema, what)
    const { flavor, locked, fault } = parseAnswer(answer, detailsSchema, what).server
    return { ...server, flavor: flavor?.id, locked, fault: fault?.message ?? undefined, devices: server.volumes.length > 0 ? await this.#devices(id, path) : {} }
  }

  async #devices(id: string, path: string): Promise<ServerDetails['devices']> {
    const what = `Looking up the volumes of server ${id}`
    const answer = await this.#session.send('compute', `${path}/os-volume_attachments`, { method: 'GET', expect: [404], what })
    if (answer.status === 404) return {}
    const { volumeAttachments } = parseAnswer(answer, attachmentsSchema, what)
    return Object.fromEntries(volumeAttachments.flatMap(({ volumeId, device }) => (device ? [[volumeId, device]] : [])))
  }

  /** Every flavor that the project may use, `GET /flavors/detail`, in pages of 1000. */
  async listFlavors(): Promise<Flavor[]> {
    const pages = await readPages(this.#session, 'compute', '/flavors/detail?limit=1000', flavorsSchema, 'Listing flavors')
    return pages.flatMap(({ flavors }) => flavors)
  }

  /** What the project may have and has, `GET /limits`. */
  async getQuotas(): Promise<ComputeQuotas> {
    return this.#session.get('compute', '/limits', limitsSchema, { what: 'Looking up the quotas of servers' })
  }

  /** Whether the user of the credentials has a key of this name, `GET /os-keypairs/{name}`. */
  async hasKey(name: string): Promise<boolean> {
    const answer = await this.#session.send('compute', `/os-keypairs/${encodeURIComponent(name)}`, { method: 'GET', expect: [404], what: `Looking up key "${name}"` })
    return answer.status !== 404
  }

  /**
   * Asks for a new server, `POST /servers`. It is never tried again here, and it is `ACTIVE` some time later.
   *
   * @returns its id.
   * @throws ScheduledImagesError `ANSWER_LOST` when it may have been made all the same. Every other code means that there is none.
   */
  async createServer(wanted: NewServer): Promise<string> {
    const { name, image, flavor, networks, keyName, availabilityZone, securityGroups, volumes } = wanted
    // A request that needs the newer microversion for something else has to name the networks as well.
    const named = networks ?? (volumes.length > 0 ? 'auto' : undefined)
    const microversion = volumes.length > 0 ? volumeTypeMicroversion : typeof named === 'string' ? networksMicroversion : undefined
    const what = `Asking for server "${name}"`
    const answer = await this.#session
      .send('compute', '/servers', {
        method: 'POST',
        body: {
          server: {
            name,
            imageRef: image,
            flavorRef: flavor,
            ...(named && { networks: typeof named === 'string' ? named : named.map((uuid) => ({ uuid })) }),
            ...(keyName && { key_name: keyName }),
            ...(availabilityZone && { availability_zone: availabilityZone }),
            ...(securityGroups.length > 0 && { security_groups: securityGroups.map((group) => ({ name: group })) }),
            ...(volumes.length > 0 && {
              block_device_mapping_v2: volumes.map(({ snapshot, device, bootIndex, deleteOnTermination, type }) => ({
                source_type: 'snapshot',
                destination_type: 'volume',
                uuid: snapshot,
                device_name: device,
                boot_index: bootIndex,
                delete_on_termination: deleteOnTermination,
                volume_type: type,
              })),
            }),
          },
        },
        timeoutMs: longActionTimeoutMs,
        what,
        ...(microversion && { headers: speaking(microversion) }),
      })
      .catch((error: unknown) => {
        throw error instanceof OpenStackError ? restoreRefusal(error, 'make servers', 'The new server was refused, and none was made.', 'The new server may have been made all the same.') : error
      })
    try {
      return parseAnswer(answer, madeSchema, what).server.id
    } catch (error) {
      throw new ScheduledImagesError('ANSWER_LOST', 'Nova accepted the request for a server, but did not say which it makes.', { cause: error, requestId: answer.requestId })
    }
  }

  /**
   * Asks for a server's root disk to be overwritten with an image, `POST /servers/{id}/action` with `rebuild`. It is never tried again here.
   *
   * No microversion is asked for: from 2.93 on Nova would overwrite the root volume of a volume-backed server too, and lose it
   * when the image holds no bytes (lab finding, §9).
   *
   * @throws ScheduledImagesError `ANSWER_LOST` when it may have begun all the same. Every other code means that nothing was overwritten.
   */
  async rebuildServer(id: string, image: string): Promise<void> {
    const what = `Asking for server ${id} to be rebuilt`
    const body = { rebuild: { imageRef: image } }
    try {
      await this.#session.send('compute', `/servers/${encodeURIComponent(id)}/action`, { method: 'POST', body, timeoutMs: longActionTimeoutMs, what })
    } catch (error) {
      throw error instanceof OpenStackError ? restoreRefusal(error, 'rebuild servers', 'The rebuild was refused, and nothing was overwritten.', 'The rebuild may have begun all the same.') : error
    }
  }

  /**
   * Asks for an image of a server, `POST /servers/{id}/action` with `createImage`. It is never tried again here.
   *
   * @param name - 1–255 printable characters without space at either end.
   * @param metadata - Becomes the image's properties, and wins over what Nova inherits.
   * @throws ScheduledImagesError `ANSWER_LOST` when the image may have been made all the same: no answer, or an error
   *   from which one cannot tell. Every other code means that there is none.
   */
  async createImage(server: string, name: string, metadata: Record<string, string>): Promise<{ image: string; requestId: string | undefined }> {
    let answer: Answer
    try {
      answer = await this.#createImage(server, name, metadata, createImageMicroversion).catch((error: unknown) => {
        if (!(error instanceof OpenStackError) || error.status !== 406) throw error
        return this.#createImage(server, name, metadata, undefined)
      })
    } catch (error) {
      throw error instanceof OpenStackError ? createImageRefusal(server, error) : error
    }
    return { image: createdImageId(answer), requestId: answer.requestId }
  }

  #createImage(server: string, name: string, metadata: Record<string, string>, microversion: string | undefined): Promise<Answer> {
    return this.#session.send('compute', `/servers/${encodeURIComponent(server)}/action`, {
      method: 'POST',
      body: { createImage: { name, metadata } },
      timeoutMs: longActionTimeoutMs,
      what: `Asking for an image of server ${server}`,
      ...(microversion && { headers: speaking(microversion) }),
    })
  }

  /**
   * Asks for a server to be shut down, `POST /servers/{id}/action` with `os-stop`. It is `SHUTOFF` some time later, a minute if its guest takes so long.
   *
   * @throws ScheduledImagesError `SERVER_NOT_FOUND`, `SERVER_BUSY`, `SERVER_LOCKED`, or `SERVER_STATE`, for one that is stopped already as well. After
   *   any other code it may be stopping all the same. It is not tried again here.
   */
  async stopServer(id: string): Promise<void> {
    await this.#power(id, 'os-stop', 'stopped')
  }

  /** The same to start it: `os-start`. It is `ACTIVE` some time later, and its guest boots. */
  async startServer(id: string): Promise<void> {
    await this.#power(id, 'os-start', 'started')
  }

  async #power(id: string, action: 'os-stop' | 'os-start', done: string): Promise<void> {
    const what = `Asking for server ${id} to be ${done}`
    try {
      await this.#session.send('compute', `/servers/${encodeURIComponent(id)}/action`, { method: 'POST', body: { [action]: null }, what })
    } catch (error) {
      throw error instanceof OpenStackError ? powerRefusal(id, done, error) : error
    }
  }

  /** The newest microversion of the cloud, if it is older than those that are used here; undefined otherwise. */
  async missingMicroversion(): Promise<string | undefined> {
    const what = 'Asking Nova for its microversion'
    const answer = await this.#session.send('compute', '/servers/detail?limit=1', { method: 'GET', expect: [406], what, headers: speaking(createImageMicroversion) })
    return answer.status === 406 ? (/maximum is (\d+\.\d+)/.exec(answer.text)?.[1] ?? '2.1') : undefined
  }

  /** Whether `createImage` is allowed, as {@link permission} can tell. Nothing is made. */
  mayMakeImages(): Promise<Permission> {
    return this.#mayAct({ createImage: { name: 'scheduled-images' } }, 'Asking whether images may be made')
  }

  /** Whether `os-stop` is allowed, likewise. */
  mayStopServers(): Promise<Permission> {
    return this.#mayAct({ 'os-stop': null }, 'Asking whether servers may be stopped')
  }

  #mayAct(body: object, what: string): Promise<Permission> {
    return permission(this.#session, 'compute', `/servers/${nothing}/action`, { method: 'POST', body, what })
  }

  /** Sends a request that shows servers: with their tags, unless the cloud is too old for them, which is found out once. */
  async #withTags<Result>(send: (headers: Headers) => Promise<Result>): Promise<Result> {
    if (!this.#showsTags) return send({})
    try {
      return await send(speaking(tagsMicroversion))
    } catch (error) {
      if (!(error instanceof OpenStackError) || error.status !== 406) throw error
      this.#showsTags = false
      return send({})
    }
  }
}

type Headers = Readonly<Record<string, string>>

function speaking(microversion: string): Headers {
  return { 'OpenStack-API-Version': `compute ${microversion}` }
}

/**
 * The new image's id: `image_id` of the body, or the last segment of `Location`, whose other parts are not to be used
 * (`…:9292//images/ID` in one release, Nova's own proxy in another).
 */
export function createdImageId(answer: Answer): string {
  const body = imageIdSchema.safeParse(json(answer.text))
  if (body.success) return body.data.image_id
  const last = String(answer.headers['location'] ?? '').split('/').at(-1)
  const id = z.guid().safeParse(last)
  if (id.success) return id.data
  throw new ScheduledImagesError('ANSWER_LOST', 'Nova accepted the request for an image, but did not say which image it makes.', answer)
}

/** Makes of Nova's refusal what it means. The words are those of the lab's findings, §2 and §3. */
function createImageRefusal(server: string, error: OpenStackError): ScheduledImagesError {
  const [code, message] = meaningOf(server, error)
  return new ScheduledImagesError(code, message, { cause: error, requestId: error.requestId })
}

function meaningOf(server: string, error: OpenStackError): [ErrorCode, string] {
  const { status, answer } = error
  if (status === 409 && answer.includes('task_state')) return ['SERVER_BUSY', `The server is busy. Nova says: ${answer}`]
  if (status === 409 && answer.includes('vm_state')) return ['SERVER_STATE', `The server is in a state in which OpenStack makes no image. Nova says: ${answer}`]
  if (status === 404) return ['SERVER_NOT_FOUND', `Server ${server} no longer exists; its images are kept.`]
  if (status === 403 && /quota/i.test(answer)) {
    return ['QUOTA_VOLUME_SNAPSHOTS', `The project's quota of volume snapshots is used up; raise it, or lower "retention". Nova says: ${answer}`]
  }
  if (status === 403) return ['FORBIDDEN', `The credentials may not make images; they need the role member. Nova says: ${answer}`]
  if (status === 413 && error.retryAfterMs === undefined && /quota|limit/i.test(answer)) {
    return ['QUOTA_IMAGES', `The project's image quota is used up; raise it, or lower "retention". Nova says: ${answer}`]
  }
  if (status === 500 && answer.includes('HTTPOverLimit')) {
    // Glance's 413 comes out of Nova as a 500 (lab finding, §3).
    return ['QUOTA_IMAGES', "The project's image quota (their number, their size, or 128 properties of one) is used up; raise it, or lower \"retention\"."]
  }
  if (status === 500 && answer.includes('UnexpectedTaskStateError')) {
    // Nova looks whether a server is busy, makes the image, and looks again: of two requests at once one leaves its image queued for ever.
    return ['SERVER_BUSY', 'The server became busy at the same moment; the image waits for it.']
  }
  if (status >= 500 || (status === 0 && !error.neverSent) || (status > 0 && status < 400)) {
    return ['ANSWER_LOST', `Nova may or may not have begun the image; it is looked for before it is asked for again. ${error.message}`]
  }
  return [error.code, error.message]
}

/** Tells a request that Nova refused from one that it may be carrying out. */
function restoreRefusal(error: OpenStackError, done: string, refused: string, lost: string): ScheduledImagesError {
  const { status, answer } = error
  const refusal = (code: ErrorCode, message: string) => new ScheduledImagesError(code, message, { cause: error, requestId: error.requestId })
  if (status === 403 && !/quota|flavor/i.test(answer)) return refusal('FORBIDDEN', `The credentials may not ${done}; they need the role member. Nova says: ${answer}`)
  // Not of the clouds' own codes: one that cannot be reached, or that does not know the token.
  if (status === 401 || (status === 0 && error.neverSent)) return error
  if (status >= 400 && status < 500) return refusal('RESTORE_REFUSED', `${refused} Nova says: ${answer}`)
  return refusal('ANSWER_LOST', `${lost} ${error.message}`)
}

/** Makes of a refusal to stop or start a server what it means; any other error stays as it is. */
function powerRefusal(server: string, done: string, error: OpenStackError): ScheduledImagesError {
  const { status, answer } = error
  const refusal = (code: ErrorCode, message: string) => new ScheduledImagesError(code, message, { cause: error, requestId: error.requestId })
  if (status === 404) return refusal('SERVER_NOT_FOUND', `Server ${server} no longer exists; its images are kept.`)
  if (status === 409 && answer.includes('task_state')) return refusal('SERVER_BUSY', `The server is busy, so it cannot be ${done}. Nova says: ${answer}`)
  if (status === 409 && answer.includes('is locked')) return refusal('SERVER_LOCKED', `The server is locked, so it cannot be ${done}. Unlock it, or set "consistency" to "live". Nova says: ${answer}`)
  // Most say vm_state; one that is shelved, or was never active, is said not to be ready, or to be in an invalid state.
  if (status === 409) return refusal('SERVER_STATE', `The server is in a state in which it cannot be ${done}. Nova says: ${answer}`)
  if (status === 403) return refusal('FORBIDDEN', `The credentials may not have servers ${done}; they need the role member. Nova says: ${answer}`)
  if (status === 500 && answer.includes('UnexpectedTaskStateError')) return refusal('SERVER_BUSY', `The server became busy at the same moment, so it cannot be ${done}.`)
  return error
}
