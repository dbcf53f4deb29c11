import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startWorld, type World } from '../demo/world.ts'
import { openDirectory, openStage, type TerminalEdges } from '../lib/installation.ts'
import { timedCadences, type ScheduleItem } from '../lib/model/schedule.ts'
import type { LogFields } from '../lib/runner/ports.ts'
import type { Installation } from '../lib/wiring.ts'
import { day, imagesOf } from './support/scene.ts'
import { leaks } from './support/secrecy.ts'

let world: World
let directory: string
let lines: { level: string; message: string }[]

beforeEach(async () => {
  world = await startWorld({ now: day(1, '00:00:00') })
  directory = mkdtempSync(join(tmpdir(), 'installation-'))
  lines = []
})
afterEach(async () => {
  expect(leaks({ log: lines }, world.secrets())).toEqual([])
  await world.close()
  rmSync(directory, { recursive: true })
})

function edges(): TerminalEdges {
  const write = (level: string) => (message: string, fields: LogFields = {}) => void lines.push({ ...fields, level, message })
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  return { env: { HOME: directory }, clock: world.clock, sleep: () => Promise.resolve(), log }
}

/** The two kinds, in which the same must come of the same. */
const installations: readonly { readonly kind: string; readonly open: (dryRun?: boolean) => Installation }[] = [
  { kind: 'a stage', open: (dryRun = false) => openStage('dev', 'default', { dryRun }, { ...edges(), env: world.env }) },
  {
    kind: 'a directory',
    open: (dryRun = false) => {
      const entry = JSON.parse(world.aws.parameters.get('/scheduled-images/local/clouds/default')!) as object
      writeFileSync(join(directory, 'clouds.yaml'), JSON.stringify({ clouds: { alpha: entry } }))
      return openDirectory(directory, { dryRun }, edges())
    },
  },
]

describe.each(installations)('in $kind', ({ open }) => {
  let installation: Installation

  beforeEach(() => {
    installation = open()
  })

  /** Adds a server, and a daily schedule of it at 01:00 that keeps 3. */
  async function scheduled(name: string, seed: Partial<Parameters<World['openstack']['addServer']>[1]> = {}, item: ScheduleItem = {}) {
    const added = world.openstack.addServer(world.project, { name, host: name, ...seed })
    await installation.ports.schedules.create({ cadence: 'daily', schedule: name, server: added.id, retention: 3, spread: 0, ...item })
    return added
  }

  async function tick(at: string, which = installation): Promise<void> {
    world.setClock(at)
    const now = { now: new Date(at), timeLeftMs: () => 300_000 }
    for (const cadence of timedCadences) await which.snapshot(cadence, now)
    await which.prune(now)
    await which.flush()
  }

  async function days(from: number, to: number): Promise<void> {
    for (let n = from; n <= to; n += 1) for (const time of ['01:00:00', '01:15:00', '01:30:00']) await tick(day(n, time))
  }

  test('seven days with retention 3 leave the three newest good images, and the tables say so', async () => {
    const web = await scheduled('web-1')
    const db = await scheduled('db-1', { volumeBacked: true, dataVolumes: 1 })
    await tick(day(1, '00:30:00'))
    await days(1, 7)

    expect(lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
    for (const { id } of [web, db]) {
      expect(imagesOf(world, id).map(({ properties }) => properties['scheduled_images__period'])).toEqual(['2026-11-05', '2026-11-06', '2026-11-07'])
    }
    expect(world.openstack.snapshots()).toHaveLength(6)
    const { ports } = installation
    expect((await ports.schedules.get({ cadence: 'daily', name: 'web-1' }))?.['state']).toEqual({
      since: '2026-11-01T00:30:00.000Z',
      lastRun: { time: '2026-11-07T01:00:00.000Z', period: '2026-11-07', server: web.id },
      lastGood: { time: '2026-11-07T01:00:00.000Z', period: '2026-11-07', image: imagesOf(world, web.id).at(-1)!.id },
      next: '2026-11-08T01:00:00.000Z',
    })
    expect((await ports.runs.history(web.id)).map(({ period, status }) => `${period} ${status}`)).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) => `2026-11-0${n} good`))
    expect(await ports.runs.inFlight()).toEqual({ runs: [], deletions: [], sweeps: [], restarts: [] })
  })

  test('timers that overlap make one image of each server', async () => {
    const { id } = await scheduled('web-1')
    await tick(day(1, '00:30:00'))
    await Promise.all([1, 2, 3, 4].map(() => tick(day(1), open())))
    expect(imagesOf(world, id)).toHaveLength(1)
  })

  test('an attempt that fails is told of in state, and made up for', async () => {
    const { id } = await scheduled('web-1', { metadata: { lab_fail: 'snapshot' } })
    await tick(day(1, '00:30:00'))
    await tick(day(1))
    await tick(day(1, '01:15:00'))
    const state = async () => (await installation.ports.schedules.get({ cadence: 'daily', name: 'web-1' }))?.['state']
    expect(await state()).toMatchObject({ problem: expect.stringContaining('is gone') as string })
    world.openstack.setServer(id, { metadata: {} })
    await tick(day(1, '01:45:00'))
    await tick(day(1, '02:00:00'))
    expect(await state()).not.toHaveProperty('problem')
    expect(imagesOf(world, id)).toHaveLength(1)
    expect(await installation.ports.runs.history(id)).toMatchObject([{ status: 'good', attempt: 2 }])
  })

  test('an answer that was lost makes no second image', async () => {
    const { id } = await scheduled('web-1')
    await tick(day(1, '00:30:00'))
    world.openstack.fault({ service: 'compute', method: 'POST', body: /createImage/, times: 1, then: 'lose-answer' })
    await tick(day(1))
    await tick(day(1, '01:15:00'))
    await tick(day(1, '01:30:00'))
    expect(imagesOf(world, id).map(({ properties }) => properties['scheduled_images__image'])).toEqual([imagesOf(world, id)[0]!.id])
    expect(await installation.ports.runs.history(id)).toMatchObject([{ status: 'good' }])
  })

  test('a dry run changes nothing, neither in the cloud nor in the tables', async () => {
    const { id } = await scheduled('web-1')
    await tick(day(1, '00:30:00'))
    const before = await installation.ports.schedules.get({ cadence: 'daily', name: 'web-1' })
    await tick(day(1), open(true))
    expect(imagesOf(world, id)).toEqual([])
    expect(await installation.ports.runs.history(id)).toEqual([])
    expect(await installation.ports.schedules.get({ cadence: 'daily', name: 'web-1' })).toEqual(before)
    expect(lines.map(({ message }) => message)).toContainEqual(expect.stringContaining('dry run'))
  })
})

test('a directory has its own clouds.yaml before the others, and none when the environment names one', async () => {
  const { open } = installations[1]!
  const cloud = await open().ports.clouds.open('default', () => 300_000)
  expect(cloud.project).toBe(world.project.id)
  const elsewhere = openDirectory(directory, { dryRun: false }, { ...edges(), env: { OS_CLIENT_CONFIG_FILE: join(directory, 'nowhere.yaml'), OS_CLOUD: 'beta' } })
  await expect(elsewhere.ports.clouds.open('default', () => 300_000)).rejects.toMatchObject({ code: 'CREDENTIALS_MISSING', message: expect.stringContaining('"beta"') as string })
})

test('of several clouds `default` is the one that the environment names, or else that of this name', async () => {
  const entry = JSON.parse(world.aws.parameters.get('/scheduled-images/local/clouds/default')!) as object
  writeFileSync(join(directory, 'clouds.yaml'), JSON.stringify({ clouds: { broken: {}, default: entry, alpha: entry } }))
  const enter = (env: Record<string, string>) => openDirectory(directory, { dryRun: false }, { ...edges(), env }).ports.clouds.open('default', () => 300_000)
  expect(await enter({})).toMatchObject({ project: world.project.id })
  expect(await enter({ OS_CLOUD: 'alpha' })).toMatchObject({ project: world.project.id })
  await expect(enter({ OS_CLOUD: 'broken' })).rejects.toMatchObject({ code: 'CLOUD_PARAMETER_INVALID' })
})

test('a directory is made where there is none, for this user alone', async () => {
  const { ports } = openDirectory(join(directory, 'deep', 'er'), { dryRun: false }, edges())
  expect(await ports.schedules.query('daily')).toEqual([])
  expect(statSync(join(directory, 'deep', 'er')).mode & 0o777).toBe(0o700)
})

test.each([
  ['a file', () => join(directory, 'clouds.yaml'), /^The directory \S+ cannot be used for the tables: /],
  ['below a file', () => join(directory, 'clouds.yaml', 'x'), /^The directory \S+ cannot be used for the tables: /],
])('a directory that is %s is refused in words', (_, path, message) => {
  writeFileSync(join(directory, 'clouds.yaml'), '')
  expect(() => openDirectory(path(), { dryRun: false }, edges())).toThrow(expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: expect.stringMatching(message) as string }) as Error)
})
