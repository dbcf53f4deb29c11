import type { Answer, WireRequest } from './answer.ts'
import { Refusal, empty, json } from './answer.ts'
import type { Cloud, ImageRecord, InstanceAction, ServerRecord, TokenRecord } from './cloud.ts'
import { rootAttachment } from './cloud.ts'
import { removeImage } from './image-record.ts'
import type { Json } from './request-schema.ts'
import { checkCount, checkMetadata, checkName, checkObject, checkText, parseBody } from './request-schema.ts'
import { DEFAULT_HOST, breakServer, rebuildServer } from './server-boot.ts'
import { event, finish, snapshotVolumes, startSnapshot } from './server-snapshot.ts'
import { powerOf, serverHead } from './server-view.ts'

/** How long stopping, pausing and the like take; and the parts of shelving. */
const POWER_SECONDS = 0.2
/** Nova tidies up old backups only when the server is free again (lab README §4). */
const ROTATION_SECONDS = 0.1
const REBUILD_KEYS =
  `imageRef name metadata adminPass description accessIPv4 accessIPv6 preserve_ephemeral key_name user_data hostname
   OS-DCF:diskConfig`.split(/\s+/)
const SNAPSHOT_STATES = ['active', 'stopped', 'paused', 'suspended']

/** A change of power: from which states, to which, and what it is called on the way. */
const POWER_ACTIONS: Record<string, { name: string; from: string[]; to: string; task: string }> = {
  'os-stop': { name: 'stop', from: ['active', 'error'], to: 'stopped', task: 'powering-off' },
  'os-start': { name: 'start', from: ['stopped'], to: 'active', task: 'powering-on' },
  pause: { name: 'pause', from: ['active'], to: 'paused', task: 'pausing' },
  unpause: { name: 'unpause', from: ['paused'], to: 'active', task: 'unpausing' },
  suspend: { name: 'suspend', from: ['active'], to: 'suspended', task: 'suspending' },
  resume: { name: 'resume', from: ['suspended'], to: 'active', task: 'resuming' },
}

type Act = (context: Context, given: unknown) => Answer

interface Context {
  readonly cloud: Cloud
  readonly caller: TokenRecord
  readonly minor: number
  readonly requestId: string
  /**
   * Looked up only when asked for: what is wrong with the request itself is said first.
   *
   * @param unknown - What is said of an id that never was; default `could not be found`.
   */
  server(unknown?: string): ServerRecord
}

const ACTIONS: Record<string, Act> = {
  createImage,
  createBackup,
  shelve,
  unshelve,
  rebuild,
  lock,
  unlock,
  'os-resetState': reset,
}

/** `POST /servers/ID/action` */
export function actOnServer(
  cloud: Cloud,
  caller: TokenRecord,
  request: WireRequest,
  minor: number,
  server: Context['server'],
): Answer {
  const body = parseBody(request.body)
  const name = Object.keys(body)[0]
  if (name === undefined) throw new Refusal(400, 'Malformed request body')
  const context = { cloud, caller, minor, requestId: request.requestId, server }
  const power = POWER_ACTIONS[name]
  if (power !== undefined) return changePower(context, power)
  const act = ACTIONS[name]
  if (act === undefined) throw new Refusal(400, `There is no such action: ${name}`)
  return act(context, body[name])
}

/** The action's name on the wire, for whoever records requests. */
export function actionName(body: string): string | undefined {
  return /^\s*\{\s*"([^"]+)"/.exec(body)?.[1]
}

/** Writes down that an action began. */
export function recordAction(
  cloud: Cloud,
  server: ServerRecord,
  caller: TokenRecord,
  name: string,
  requestId: string,
): InstanceAction {
  const at = cloud.second()
  const entry: InstanceAction = {
    action: name,
    requestId,
    userId: caller.user.id,
    startedAt: at,
    updatedAt: at,
    message: null,
    events: [],
  }
  server.actions.unshift(entry)
  return entry
}

function createImage(context: Context, given: unknown): Answer {
  const { cloud, caller, minor } = context
  const order = snapshotOrder(checkObject('createImage', given, ['name'], ['name', 'metadata']))
  // Only older clients are told so; from 2.39 it is Glance that counts, and nova that says 500 (lab README §3).
  if (minor < 39 && Object.keys(order.metadata).length > 128) throw new Refusal(403, 'Image metadata limit exceeded')
  const server = context.server()
  if (!cloud.mayWrite(caller)) throw new Refusal(403, `Policy doesn't allow os_compute_api:servers:create_image to be performed.`)
  demandState(server, 'createImage', SNAPSHOT_STATES)
  const entry = begun(context, server, 'createImage')
  const image = undoneOnRefusal(server, entry, () =>
    rootAttachment(server) === undefined
      ? startSnapshot(cloud, caller, server, entry, order)
      : snapshotVolumes(cloud, caller, server, entry, order),
  )
  // The double slash is nova's own, and there is no version in it (lab README §1).
  return imageAnswer(image, minor, `${cloud.url}/image//images/${image.id}`)
}

function createBackup(context: Context, given: unknown): Answer {
  const { cloud, caller, minor } = context
  const keys = ['name', 'backup_type', 'rotation']
  const wanted = checkObject('createBackup', given, keys, [...keys, 'metadata'])
  const order = snapshotOrder(wanted)
  const type = checkText('backup_type', wanted['backup_type'], 0, 255)
  const rotation = checkCount('rotation', wanted['rotation'])
  const server = context.server()
  if (rootAttachment(server) !== undefined) {
    throw new Refusal(400, 'Backup is not supported for volume-backed instances.')
  }
  demandState(server, 'createBackup', SNAPSHOT_STATES)
  const entry = begun(context, server, 'createBackup')
  const done = () => cloud.agenda.in(ROTATION_SECONDS, () => rotate(cloud, server, type, rotation))
  const states = ['image_backup', 'image_backup', 'image_pending_upload', 'image_uploading']
  const image = undoneOnRefusal(server, entry, () =>
    startSnapshot(cloud, caller, server, entry, { ...order, backup: { type, rotation }, done }, states),
  )
  // Another shape than createImage's (lab README §1).
  return imageAnswer(image, minor, `${cloud.url}/compute/v2.1/images/${image.id}`)
}

function snapshotOrder(wanted: Json): { name: string; metadata: Readonly<Record<string, string>> } {
  return { name: checkName(wanted['name']), metadata: checkMetadata(wanted['metadata'] ?? {}) }
}

function imageAnswer(image: ImageRecord, minor: number, location: string): Answer {
  if (minor >= 45) return json(202, { image_id: image.id })
  return empty(202, { location, 'content-type': 'text/html; charset=UTF-8' })
}

/** The oldest beyond `rotation` go, a person's lookalikes too; protected ones count but stay (lab README §4). */
function rotate(cloud: Cloud, server: ServerRecord, type: string, rotation: number): void {
  const backups = [...cloud.images.values()]
    .filter(({ properties, status }) => {
      const kind = properties.get('image_type') === 'backup' && properties.get('backup_type') === type
      return kind && properties.get('instance_uuid') === server.id && status === 'active'
    })
    .toSorted((left, right) => right.createdAt - left.createdAt || (left.id < right.id ? 1 : -1))
  for (const image of backups.slice(rotation)) if (!image.protected) removeImage(cloud, image)
}

function changePower(context: Context, { name, from, to, task }: (typeof POWER_ACTIONS)[string]): Answer {
  const { cloud } = context
  const ofPower = name === 'stop' || name === 'start'
  const server = ofPower ? context.server('has no mapping to a cell') : context.server()
  if (ofPower && !cloud.mayWrite(context.caller)) {
    throw new Refusal(403, `Policy doesn't allow os_compute_api:servers:${name} to be performed.`)
  }
  demandUnlocked(context, server)
  if (server.host === '') throw new Refusal(409, `Instance ${server.id} is not ready`)
  demandState(server, name, from)
  if (server.launchedAt === null) {
    throw new Refusal(409, `Instance ${server.id} is in an invalid state for '${name}'`)
  }
  const entry = begun(context, server, name)
  const step = event(cloud, entry, `compute_${name}_instance`)
  server.taskState = task
  server.updatedAt = cloud.second()
  cloud.agenda.in(POWER_SECONDS, () => {
    if (server.taskState !== task) return
    move(cloud, server, to, null)
    finish(cloud, entry, step, 'Success')
  })
  return accepted()
}

function shelve(context: Context): Answer {
  const { cloud, caller } = context
  const server = context.server()
  demandUnlocked(context, server)
  demandState(server, 'shelve', SNAPSHOT_STATES)
  const entry = begun(context, server, 'shelve')
  const offload = () => {
    move(cloud, server, 'shelved', 'shelving_offloading')
    cloud.agenda.in(POWER_SECONDS, () => {
      if (server.taskState !== 'shelving_offloading') return
      move(cloud, server, 'shelved_offloaded', null)
      // It says so a moment before it is let go.
      cloud.agenda.in(POWER_SECONDS, () => {
        if (server.vmState === 'shelved_offloaded') server.host = ''
      })
    })
  }
  if (rootAttachment(server) !== undefined) {
    server.taskState = 'shelving'
    cloud.agenda.in(POWER_SECONDS, offload)
    return accepted()
  }
  const uploading = 'shelving_image_uploading'
  const states = ['shelving', 'shelving', 'shelving_image_pending_upload', uploading]
  const order = { name: `${server.name}-shelved`, metadata: { base_image_ref: server.imageRef }, done: offload }
  const image = undoneOnRefusal(server, entry, () => startSnapshot(cloud, caller, server, entry, order, states))
  server.shelvedImageId = image.id
  return accepted()
}

function unshelve(context: Context): Answer {
  const { cloud } = context
  const server = context.server()
  demandUnlocked(context, server)
  demandState(server, 'unshelve', ['shelved', 'shelved_offloaded'])
  const entry = begun(context, server, 'unshelve')
  const step = event(cloud, entry, 'conductor_unshelve_instance')
  const imageId = server.shelvedImageId
  server.taskState = 'unshelving'
  cloud.agenda.in(POWER_SECONDS, () => {
    if (server.taskState !== 'unshelving') return
    const image = cloud.images.get(imageId ?? '')
    if (imageId !== null && image === undefined) {
      // The only disk it had (lab README §1).
      const message = `Unshelve attempted but the image ${imageId} cannot be found.`
      breakServer(cloud, server, 404, message)
      // Seen on the lab: it stays so.
      server.taskState = 'unshelving'
      finish(cloud, entry, step, 'Error')
      return
    }
    server.taskState = 'spawning'
    if (server.host === '') server.host = DEFAULT_HOST
    cloud.agenda.in(POWER_SECONDS, () => {
      move(cloud, server, 'active', null)
      finish(cloud, entry, step, 'Success')
      server.shelvedImageId = null
      // Nova itself deletes the image then.
      if (image !== undefined) removeImage(cloud, image)
    })
  })
  return accepted()
}

function rebuild(context: Context, given: unknown): Answer {
  const { cloud, caller, minor } = context
  const wanted = checkObject('rebuild', given, ['imageRef'], REBUILD_KEYS)
  const server = context.server()
  const imageId = String(wanted['imageRef'])
  demandUnlocked(context, server)
  demandState(server, 'rebuild', ['active', 'stopped', 'error'])
  rebuildServer(cloud, caller, server, imageId, minor)
  const entry = begun(context, server, 'rebuild')
  finish(cloud, entry, event(cloud, entry, 'compute_rebuild_instance'), 'Success')
  const view = { server: { ...serverHead(cloud, server, minor), adminPass: 'QNqL93jLKgZS' } }
  return json(202, view, { location: `${cloud.url}/compute/v2.1/servers/${server.id}` })
}

function lock(context: Context): Answer {
  return setLock(context, 'lock', true)
}

function unlock(context: Context): Answer {
  return setLock(context, 'unlock', false)
}

function setLock(context: Context, name: string, locked: boolean): Answer {
  const server = context.server()
  server.locked = locked
  const entry = begun(context, server, name)
  finish(context.cloud, entry, event(context.cloud, entry, `api_${name}`), 'Success')
  return accepted()
}

function reset(context: Context, given: unknown): Answer {
  const server = context.server()
  if (context.caller.role !== 'admin') {
    throw new Refusal(403, "Policy doesn't allow os_compute_api:os-admin-actions:reset_state to be performed.")
  }
  const { state } = checkObject('os-resetState', given, ['state'], ['state'])
  move(context.cloud, server, state === 'active' ? 'active' : 'error', null)
  return accepted()
}

function begun({ cloud, caller, requestId }: Context, server: ServerRecord, name: string): InstanceAction {
  return recordAction(cloud, server, caller, name, requestId)
}

/** What is refused on the way leaves no trace, and the server as it was. */
function undoneOnRefusal<Result>(server: ServerRecord, entry: InstanceAction, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    server.actions.splice(server.actions.indexOf(entry), 1)
    throw error
  }
}

function move(cloud: Cloud, server: ServerRecord, vmState: string, taskState: string | null): void {
  server.vmState = vmState
  server.taskState = taskState
  server.powerState = powerOf(vmState)
  server.updatedAt = cloud.second()
}

/** @throws {@link Refusal} 409; the state of the machine is looked at before that of its task (lab README §2). */
function demandState(server: ServerRecord, action: string, states: readonly string[]): void {
  const refuse = (what: string) =>
    new Refusal(409, `Cannot '${action}' instance ${server.id} while it is in ${what}`)
  if (!states.includes(server.vmState)) throw refuse(`vm_state ${server.vmState}`)
  if (server.taskState !== null) throw refuse(`task_state ${server.taskState}`)
}

/** A lock stops neither createImage nor createBackup (lab README §2). @throws {@link Refusal} 409 */
export function demandUnlocked({ caller }: Pick<Context, 'caller'>, server: ServerRecord): void {
  if (server.locked && caller.role !== 'admin') throw new Refusal(409, `Instance ${server.id} is locked`)
}

function accepted(): Answer {
  return empty(202, { 'content-type': 'application/json' })
}
