import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import type { Daemon, OpenStackSimulator, OpenStackSimulatorOptions } from '../../demo/openstack/simulator.ts'
import { startOpenStack } from '../../demo/openstack/simulator.ts'
import type { Api, Json, Reply } from './api.ts'
import { connect } from './api.ts'

export type { Api, Json, Reply, RequestOptions, TestedService } from './api.ts'

/** One entry of clouds.yaml. */
export interface CloudEntry {
  readonly auth_type?: string
  readonly region_name: string
  readonly auth: Readonly<Record<string, string>>
}

/** What to boot. Without more it is an image-backed server of the base image, and it is waited for. */
export interface BootOptions {
  readonly label?: string
  readonly image?: string
  /** Boots from a volume made of the image, with so many data volumes beside it. */
  readonly volumeBacked?: boolean
  readonly dataVolumes?: number
  readonly flavor?: string
  readonly metadata?: Readonly<Record<string, string>>
  /** Default `ACTIVE`. */
  readonly until?: string
  readonly cloud?: string
}

/** The cloud that the contract is tested on: the simulator, or a real one when `OS_CLOUD` is set. */
export interface CloudUnderTest {
  readonly real: boolean
  readonly simulator?: OpenStackSimulator
  /** Whether servers and volumes obey the lab's `lab_…` metadata. */
  readonly knobs: boolean
  /** Whether daemons of the cloud can be stopped; on a real one `OS_TEST_SERVICES` names the script that does it. */
  readonly outages: boolean
  /** The id of the image that servers are booted from. */
  readonly baseImage: string
  /** Whether clouds.yaml has this entry, for `describe.skipIf`. */
  has(cloud: string): boolean
  /** An entry of clouds.yaml; default the one that `OS_CLOUD` names, or `alpha`. */
  entry(cloud?: string): CloudEntry
  /** The secrets of that entry, and with the simulator every token as well. */
  secrets(): string[]
  /** A client that is logged in, the same one for the same entry while its token is young. */
  api(cloud?: string): Promise<Api>
  /** A name that nobody else has; what is called so is cleaned up. */
  name(label: string): string
  /** @returns the server's id. */
  boot(options?: BootOptions): Promise<string>
  deleteServer(id: string, cloud?: string): Promise<void>
  /** Does some work while a daemon of the cloud is down, and starts it again. */
  without<Result>(daemon: Daemon, work: () => Promise<Result>): Promise<Result>
  /** Lets time pass: real time on a real cloud, the simulated clock otherwise. */
  sleep(seconds: number): Promise<void>
  /** Looks until it is as wanted. @throws Error with what was seen last, after `seconds` (default 60). */
  until<Seen>(look: () => Promise<Seen>, wanted: (seen: Seen) => boolean, seconds?: number): Promise<Seen>
  server(id: string, cloud?: string): Promise<Json>
  /** The image as Glance has it, or undefined once it is gone. */
  image(id: string, cloud?: string): Promise<Json | undefined>
  /** Waits for a server to be in a status with nothing going on. */
  untilServer(id: string, status: string, cloud?: string): Promise<Json>
  /** createImage, which must be accepted. @returns the image's id. */
  snapshot(server: string, label: string, metadata?: Readonly<Record<string, string>>, cloud?: string): Promise<string>
  /** A small image that a person uploads. @returns its id. */
  upload(label: string, attributes?: Json): Promise<string>
  /** Waits for an image-backed snapshot to be active and its server free. */
  finished(image: string, server: string): Promise<Json>
}

const BASE_IMAGE = process.env['OS_TEST_IMAGE'] ?? 'cirros-lab'
const FLAVOR = process.env['OS_TEST_FLAVOR'] ?? 'lab.tiny'
/** `bash SCRIPT stop|start|pause|resume DAEMON`, as the lab's svc.sh. */
const SERVICES = process.env['OS_TEST_SERVICES']
const NO_DISK_FLAVOR = process.env['OS_TEST_NO_DISK_FLAVOR'] ?? 'lab.nodisk'

/** Less than a token lives on any cloud. */
const tokenUsedForMs = 15 * 60_000

type SimulatorOptions = Omit<OpenStackSimulatorOptions, 'clock'>

/**
 * Call it once, at the top of a test file: what that file made is deleted after its tests.
 *
 * @param options - Of the simulator; a real cloud is as it is.
 */
export async function cloudUnderTest(options: SimulatorOptions = {}): Promise<CloudUnderTest> {
  const { afterAll, vi } = await import('vitest')
  const opened = await openCloud(options)
  // A real cloud takes its time, and more when others use it.
  if (opened.cloud.real) vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 })
  afterAll(opened.close, 120_000)
  return opened.cloud
}

/** The same outside of a test file; `close` deletes what was made. */
export async function openCloud(options: SimulatorOptions = {}): Promise<{ readonly cloud: CloudUnderTest; readonly close: () => Promise<void> }> {
  const named = process.env['OS_CLOUD']
  const main = named ?? 'alpha'
  const real = named !== undefined && named !== ''
  let skipped = 0
  const { entries, simulator } = real ? realEntries() : await simulated({ ...options, clock: () => new Date(Date.now() + skipped) })
  const prefix = `wire-${randomUUID().slice(0, 8)}`
  const apis = new Map<string, { readonly api: Promise<Api>; readonly since: number }>()

  const entry = (cloud = main): CloudEntry => {
    const found = entries[cloud]
    if (found === undefined) throw new Error(`clouds.yaml has no cloud ${cloud}`)
    return found
  }
  const api = (cloud = main): Promise<Api> => {
    const known = apis.get(cloud)
    if (known && performance.now() - known.since < tokenUsedForMs) return known.api
    const connected = connect(entry(cloud))
    apis.set(cloud, { api: connected, since: performance.now() })
    return connected
  }
  const sleep = async (seconds: number): Promise<void> => {
    if (real) await pause(seconds * 1000)
    else skipped += seconds * 1000
  }
  const watch = async <Seen>(
    look: () => Promise<Seen>,
    wanted: (seen: Seen) => boolean,
    seconds: number,
    step: number,
  ): Promise<Seen> => {
    let seen = await look()
    // Counted in steps, as the simulator's clock is moved by nobody else.
    const end = Date.now() + skipped + seconds * 1000
    while (!wanted(seen)) {
      if (Date.now() + skipped > end) throw new Error(`waited ${seconds} s in vain; last seen: ${JSON.stringify(seen)}`)
      await sleep(step)
      seen = await look()
    }
    return seen
  }
  const until: CloudUnderTest['until'] = (look, wanted, seconds = 60) => watch(look, wanted, seconds, 0.1)
  const server: CloudUnderTest['server'] = async (id, cloud) => {
    const reply = await (await api(cloud)).request('compute', 'GET', `/servers/${id}`)
    return reply.status === 404 ? { status: 'GONE', 'OS-EXT-STS:task_state': null } : reply.json['server']
  }
  const image: CloudUnderTest['image'] = async (id, cloud) => {
    const reply = await (await api(cloud)).request('image', 'GET', `/v2/images/${id}`)
    return reply.status === 404 ? undefined : reply.json
  }
  const untilServer: CloudUnderTest['untilServer'] = (id, status, cloud) =>
    // Less often, as each look costs a small cloud time that the server could boot in.
    watch(
      () => server(id, cloud),
      (seen) => seen['status'] === status && seen['OS-EXT-STS:task_state'] === null,
      90,
      real ? 0.3 : 0.1,
    )
  const name = (label: string): string => `${prefix}-${label}`

  const boot: CloudUnderTest['boot'] = async (options = {}) => {
    const { label = 'server', image: from = baseImage, volumeBacked, dataVolumes = 0, metadata = {}, cloud } = options
    const root = volumeBacked
      ? { source_type: 'image', destination_type: 'volume', uuid: from, volume_size: 1 }
      : { source_type: 'image', destination_type: 'local', uuid: from }
    const blank = { boot_index: -1, source_type: 'blank', destination_type: 'volume', volume_size: 1 }
    const disks = [{ boot_index: 0, ...root }, ...Array.from({ length: dataVolumes }, () => blank)]
    const mapped = volumeBacked === true || dataVolumes > 0
    const body = {
      server: {
        name: name(label),
        flavorRef: options.flavor ?? (volumeBacked ? NO_DISK_FLAVOR : FLAVOR),
        networks: 'none',
        metadata,
        ...(!volumeBacked && { imageRef: from }),
        ...(mapped && {
          block_device_mapping_v2: disks.map((disk) => ({ ...disk, delete_on_termination: true })),
        }),
      },
    }
    const reply = await (await api(cloud)).request('compute', 'POST', '/servers', { body, microversion: 'compute 2.37' })
    if (reply.status !== 202) throw new Error(`boot: ${reply.status} ${reply.text}`)
    const id: string = reply.json['server']['id']
    await untilServer(id, options.until ?? 'ACTIVE', cloud)
    return id
  }

  const deleteServer: CloudUnderTest['deleteServer'] = async (id, cloud) => {
    await (await api(cloud)).request('compute', 'DELETE', `/servers/${id}`)
    await until(() => server(id, cloud), (seen) => seen['status'] === 'GONE')
  }

  const without: CloudUnderTest['without'] = async (daemon, work) => {
    const control = async (what = ''): Promise<void> => {
      await promisify(execFile)('bash', [SERVICES ?? '', what, daemon])
    }
    // A queue that is new again drops what it is sent until its consumers have found it, half a minute later.
    const [away, back] = daemon === 'rabbit' ? ['pause', 'resume'] : ['stop', 'start']
    if (real) await control(away)
    const start = simulator?.stop(daemon)
    try {
      return await work()
    } finally {
      start?.()
      if (real) await control(back)
    }
  }

  const snapshot: CloudUnderTest['snapshot'] = async (id, label, metadata = {}, cloud) => {
    const body = { createImage: { name: name(label), metadata } }
    const microversion = 'compute 2.45'
    const reply = await (await api(cloud)).request('compute', 'POST', `/servers/${id}/action`, { body, microversion })
    if (reply.status !== 202) throw new Error(`createImage: ${reply.status} ${reply.text}`)
    return reply.json['image_id']
  }

  const upload: CloudUnderTest['upload'] = async (label, attributes = {}) => {
    const body = { name: name(label), disk_format: 'raw', container_format: 'bare', ...attributes }
    const made = await (await api()).request('image', 'POST', '/v2/images', { body })
    if (made.status !== 201) throw new Error(`upload: ${made.status} ${made.text}`)
    const { id } = made.json
    await (await api()).request('image', 'PUT', `/v2/images/${id}/file`, { body: 'x'.repeat(1000), headers: { 'content-type': 'application/octet-stream' } })
    return id
  }

  const finished: CloudUnderTest['finished'] = async (id, serverId) => {
    const seen = await until(() => image(id), (now) => now === undefined || now['status'] === 'active')
    if (seen === undefined) throw new Error(`image ${id} is gone`)
    await until(() => server(serverId), (now) => now['OS-EXT-STS:task_state'] === null)
    return seen
  }

  const found = await (await api()).request('image', 'GET', `/v2/images?name=${encodeURIComponent(BASE_IMAGE)}`)
  const baseImage: string = found.json['images'][0]?.['id']
  if (baseImage === undefined) throw new Error(`no image ${BASE_IMAGE}; name another in OS_TEST_IMAGE`)

  const close = async (): Promise<void> => {
    // With new tokens: some clouds' end sooner than a file's tests.
    for (const name of apis.keys()) await sweep(await connect(entry(name)), prefix, until)
    await simulator?.close()
  }

  const cloud: CloudUnderTest = {
    real,
    ...(simulator && { simulator }),
    knobs: BASE_IMAGE === 'cirros-lab',
    outages: !real || SERVICES !== undefined,
    baseImage,
    has: (cloud) => cloud in entries,
    entry,
    secrets: () => [...Object.entries(entry().auth).flatMap(([field, value]) => (/password|secret/.test(field) ? [value] : [])), ...(simulator?.secrets() ?? [])],
    api,
    name,
    boot,
    deleteServer,
    without,
    sleep,
    until,
    server,
    image,
    untilServer,
    snapshot,
    upload,
    finished,
  }
  return { cloud, close }
}

interface Entries {
  readonly entries: Readonly<Record<string, CloudEntry>>
  readonly simulator?: OpenStackSimulator
}

function realEntries(): Entries {
  const file = process.env['OS_CLIENT_CONFIG_FILE'] ?? 'clouds.yaml'
  return { entries: parse(readFileSync(file, 'utf8')).clouds }
}

/** The simulator, with the projects, users and entries that the lab has. */
async function simulated(options: OpenStackSimulatorOptions): Promise<Entries> {
  const simulator = await startOpenStack(options)
  const password = 'labpass'
  const alpha = simulator.addProject('alpha', { snapshotQuota: 1000 })
  const beta = simulator.addProject('beta', { snapshotQuota: 10 })
  const gamma = simulator.addProject('gamma', { imageQuota: 3, snapshotQuota: 10 })
  const alice = simulator.addUser('alice', password, { alpha: 'member' })
  const bob = simulator.addUser('bob', password, { beta: 'member' })
  const carol = simulator.addUser('carol', password, { gamma: 'member' })
  simulator.addUser('rita', password, { alpha: 'reader' })
  simulator.addUser('admin', password, { admin: 'admin' })
  const byPassword = (username: string, project: string, region = 'RegionOne'): CloudEntry => ({
    region_name: region,
    auth: {
      auth_url: simulator.authUrl,
      username,
      password,
      project_name: project,
      user_domain_name: 'Default',
      project_domain_name: 'Default',
    },
  })
  const byCredential = (user: typeof alice, project: typeof alpha): CloudEntry => {
    const secret = `lab-secret-${project.name}`
    const made = simulator.addApplicationCredential(user, project, { name: 'lab', secret })
    return {
      auth_type: 'v3applicationcredential',
      region_name: 'RegionOne',
      auth: {
        auth_url: simulator.authUrl,
        application_credential_id: made.id,
        application_credential_secret: secret,
      },
    }
  }
  const entries = {
    admin: byPassword('admin', 'admin'),
    alpha: byPassword('alice', 'alpha'),
    'alpha-r2': byPassword('alice', 'alpha', 'RegionTwo'),
    'alpha-reader': byPassword('rita', 'alpha'),
    beta: byPassword('bob', 'beta'),
    gamma: byPassword('carol', 'gamma'),
    'alpha-appcred': byCredential(alice, alpha),
    'beta-appcred': byCredential(bob, beta),
    'gamma-appcred': byCredential(carol, gamma),
  }
  return { entries, simulator }
}

/** Deletes everything whose name starts with the prefix, and the volumes that its servers leave behind. */
async function sweep(api: Api, prefix: string, until: CloudUnderTest['until']): Promise<void> {
  const list = async (service: 'compute' | 'image' | 'block-storage', path: string, key: string): Promise<Json[]> => {
    const reply: Reply = await api.request(service, 'GET', path)
    return reply.status === 200 ? (reply.json[key] as Json[]) : []
  }
  const own = (things: Json[], start = prefix): Json[] => things.filter(({ name }) => String(name).startsWith(start))
  const servers = own(await list('compute', '/servers/detail', 'servers'))
  const volumes = servers.flatMap((server) => (server['os-extended-volumes:volumes_attached'] as Json[]).map(({ id }) => id))
  for (const { id } of servers) {
    await api.request('compute', 'POST', `/servers/${id}/action`, { body: { unlock: null } })
    await api.request('compute', 'DELETE', `/servers/${id}`)
  }
  for (const hidden of ['false', 'true']) {
    for (const found of own(await list('image', `/v2/images?limit=1000&os_hidden=${hidden}`, 'images'))) {
      if (found['owner'] !== api.projectId) continue
      if (found['protected'] === true) await api.patch(found['id'], [{ op: 'replace', path: '/protected', value: false }])
      await api.request('image', 'DELETE', `/v2/images/${found['id']}`)
    }
  }
  for (const id of volumes) await api.request('block-storage', 'PUT', `/volumes/${id}/metadata`, { body: { metadata: {} } })
  const snapshots = async (): Promise<Json[]> =>
    own(await list('block-storage', '/snapshots/detail', 'snapshots'), `snapshot for ${prefix}`)
  const left = async (): Promise<number> => {
    const found = await snapshots()
    for (const { id } of found) await api.request('block-storage', 'DELETE', `/snapshots/${id}`)
    return found.length
  }
  await until(left, (count) => count === 0)
  const serversLeft = async (): Promise<number> => own(await list('compute', '/servers/detail', 'servers')).length
  await until(serversLeft, (count) => count === 0)
  for (const id of volumes) await api.request('block-storage', 'DELETE', `/volumes/${id}`)
}
