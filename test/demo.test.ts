import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Report } from '../demo/report.ts'

const run = promisify(execFile)
const demo = (...args: string[]) => run(process.execPath, ['demo/demo.ts', ...args], { maxBuffer: 2 ** 24 })

let data: string
beforeAll(() => {
  data = mkdtempSync(join(tmpdir(), 'demo-'))
})
afterAll(() => rmSync(data, { recursive: true }))

test('the demo keeps every promise, and says so in JSON', { timeout: 120_000 }, async () => {
  const { stdout, stderr } = await demo('--json', '--data', data)
  const { servers, invalid, treasured, images, volumeSnapshots, broken, ticks, quietTicks } = JSON.parse(stdout) as Report

  expect(stderr).toBe('')
  expect(broken).toEqual([])
  const schedules = servers.flatMap((server) => server.schedules)
  expect(schedules.map(({ schedule, made, kept, deleted }) => [schedule, made, kept.length, deleted.length])).toEqual([
    ['daily/web-1', 21, 4, 17],
    ['weekly/web-1', 3, 2, 1],
    ['daily/db-1', 21, 5, 16],
    ['daily/shop', 21, 4, 17],
    ['daily/cache-1', 15, 2, 13],
    ['weekly/files-1', 3, 2, 1],
  ])
  const [web, , db, shop, cache, files] = schedules
  expect(web!.kept.map(({ reason }) => reason)).toEqual([
    'good image 1 of 3', 'good image 2 of 3', 'good image 3 of 3', 'it is protected, and not counted',
  ])
  expect(new Set(web!.deleted.map(({ reason }) => reason))).toEqual(new Set(['3 newer good images are kept']))
  expect(db!.kept.every((image) => image.volumeSnapshots === 2)).toBe(true)
  expect(shop!.troubles).toMatchObject([
    { message: expect.stringContaining('is gone'), periods: ['2026-03-25'], attempts: [1] },
    { message: expect.stringContaining('is gone'), periods: ['2026-03-25'], attempts: [2] },
  ])
  expect(shop!.later).toMatchObject([{ period: '2026-03-25', attempt: 3 }])
  expect(shop).not.toHaveProperty('problem')
  expect(cache!.problem).toMatch(/^Server "cache-1" is in state ERROR, /)
  expect(cache!.troubles).toMatchObject([{ message: cache!.problem, missed: 5 }])
  expect(files!.notices).toEqual(['The image holds the root disk of server "files-1" only: its attached volume is not in it.'])
  expect(invalid).toEqual([{ schedule: 'daily/typo', problem: expect.stringContaining('did you mean "retention"?'), events: 1 }])
  expect(treasured).toMatchObject([
    { name: expect.stringMatching(/^Daily-web-1-/), untouched: true },
    { name: 'after-restore', untouched: true },
  ])
  expect(images).toEqual({ made: 84, kept: 19, deleted: 65 })
  expect(volumeSnapshots).toEqual({ kept: 10, orphans: 0 })
  expect(quietTicks).toBeGreaterThan(ticks / 2)

  expect(readdirSync(data).toSorted()).toEqual(['scheduled-images.sqlite', 'simulator.v8'])
  const look = (args: string[], env: Record<string, string> = {}) => run(process.execPath, ['cli/scheduled-images.js', '--local', data, '-o', 'json', ...args], { env: { ...process.env, ...env } })
  const remark = "The cloud in .* is the demo's, a simulated one. Its clock says"
  const kept = async () => (JSON.parse((await look(['images', 'web-1'])).stdout) as { name: string }[]).map(({ name }) => name)
  const [newest] = web!.kept.map(({ name }) => name)
  expect((await kept())[1]).toBe(newest)
  expect((await look(['list'])).stderr).toMatch(new RegExp(`^${remark} 2026-04-05 21:00 UTC\\.\n$`))
  expect(JSON.parse((await look(['explain', 'daily/db-1'])).stdout)).toMatchObject({ schedule: 'daily/db-1', images: db!.kept.map(({ id }) => ({ id })) })

  // The next night, and then the settling: time goes on between two commands until the cloud has come to rest.
  expect((await look(['run', 'all'], { SCHEDULED_IMAGES_DEMO_CLOCK: '2026-04-06T02:00Z' })).stderr).toMatch(new RegExp(`^${remark} 2026-04-06 02:00 UTC`))
  expect(JSON.parse((await look(['prune'])).stdout)).toMatchObject({ prune: { good: 3, deleted: 3 } })
  expect(await kept()).toEqual([expect.stringMatching(/^Daily-web-1-17754408/), expect.stringMatching(/^Weekly/), newest, expect.anything(), expect.stringMatching(/^Weekly/), expect.anything()])
})

test('a directory with tables of somebody else is refused before anything is simulated', async () => {
  const real = mkdtempSync(join(tmpdir(), 'demo-'))
  writeFileSync(join(real, 'scheduled-images.sqlite'), '')
  await expect(demo('--data', real)).rejects.toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^demo: \S+ holds tables that no demo made/) as string })
  rmSync(real, { recursive: true })
})

test('--help tells what there is', async () => {
  expect((await demo('--help')).stdout).toMatch(/^Usage: npm run demo/)
})

test.each([
  ['an unknown flag', ['--quick'], /^demo: Unknown option '--quick'\. See npm run demo -- --help\n$/],
  ['a value for a flag', ['--json=yes'], /^demo: Option '--json' does not take an argument\. See /],
  ['an argument', ['fast'], /^demo: Unexpected argument 'fast'\. See /],
])('%s is refused', async (_, args, message) => {
  await expect(demo(...args)).rejects.toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) })
})
