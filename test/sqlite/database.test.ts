import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Database } from '../../lib/sqlite/database.ts'
import { RunsTable } from '../../lib/sqlite/runs-table.ts'
import { SchedulesTable } from '../../lib/sqlite/schedules-table.ts'
import { id, run } from '../support/builders.ts'

let directory: string
let path: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'database-'))
  path = join(directory, 'scheduled-images.sqlite')
})
afterEach(() => {
  chmodSync(directory, 0o700)
  rmSync(directory, { recursive: true })
})

const script = join(import.meta.dirname, 'process.ts')
const item = { cadence: 'daily', schedule: 'web-1', server: 'web-1', retention: 7 }
const failure = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error

/** A process that has said its first word. */
async function started(what: string, name: string): Promise<ChildProcessWithoutNullStreams> {
  const child = spawn(process.execPath, [script, directory, what, name])
  child.stderr.on('data', (text: Buffer) => process.stderr.write(text))
  await once(child.stdout, 'data')
  return child
}

test('of 20 claims at once by four processes one wins, in each of fifty periods', { timeout: 60_000 }, async () => {
  const processes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => started('claim', name)))
  const wins = processes.map(async (child) => {
    const [answer] = await once(child.stdout, 'data') as [Buffer]
    return Number(String(answer))
  })
  const instant = Date.now() + 200
  for (const child of processes) child.stdin.end(String(instant))
  expect((await Promise.all(wins)).reduce((sum, won) => sum + won)).toBe(50)
})

test('a process that is killed in the middle of a transaction leaves the tables as they were', { timeout: 60_000 }, async () => {
  const before = new Database(path)
  await new SchedulesTable(before).create(item)
  before.close()
  const child = await started('hold', 'x')
  child.kill('SIGKILL')
  await once(child, 'exit')
  // Without these bytes in the file and this journal beside it nothing was there to be undone.
  expect(readFileSync(path).length).toBeGreaterThan(1_000_000)
  expect(existsSync(`${path}-journal`)).toBe(true)

  const after = new Database(path)
  expect(await new SchedulesTable(after).get({ cadence: 'daily', name: 'web-1' })).toEqual(item)
  expect(after.read('SELECT record FROM runs')).toEqual([])
  expect(await new RunsTable(after, () => {}).claim(run({ status: 'starting' }), undefined)).toBe(true)
  after.close()
})

test('tables that another process holds are told of as such, and wait for it that long', async () => {
  new Database(path).close()
  const other = new DatabaseSync(path)
  const mine = new Database(path, { busyTimeoutMs: 200 })
  const runs = new RunsTable(mine, () => {})
  other.exec('BEGIN EXCLUSIVE')
  const held = failure('TABLES_UNAVAILABLE', /^The tables in \S+ are in use: another process has not let go of them for 0\.2 s\./)
  const from = performance.now()
  await expect(runs.claim(run(), undefined)).rejects.toThrow(held)
  expect(performance.now() - from).toBeGreaterThan(150)
  await expect(runs.get([run()])).rejects.toThrow(held)
  expect(() => new Database(path, { busyTimeoutMs: 10 })).toThrow(failure('TABLES_UNAVAILABLE', /are in use/))
  other.exec('ROLLBACK')
  expect(await runs.claim(run(), undefined)).toBe(true)
  other.close()
  mine.close()
})

test('a write that another process is doing is waited for', async () => {
  new Database(path).close()
  const child = await started('hold', 'x')
  // Another process ends it, since this one stands still while it waits.
  spawn('sh', ['-c', `sleep 0.3; kill -9 ${child.pid}`])
  const mine = new Database(path)
  expect(await new SchedulesTable(mine).create(item)).toBe(true)
  mine.close()
})

test('a full disk changes nothing, and is told of', async () => {
  const database = new Database(path)
  const table = new SchedulesTable(database)
  await table.create(item)
  database.read('PRAGMA max_page_count = 8')
  const large = { text: 'x'.repeat(100_000) }
  const full = failure('TABLES_UNAVAILABLE', /could not be read or written \(database or disk is full\), and nothing was changed/)
  await expect(table.edit({ cadence: 'daily', name: 'web-1' }, large)).rejects.toThrow(full)
  await expect(table.create({ ...item, schedule: 'web-2', ...large })).rejects.toThrow(full)
  expect(await table.get({ cadence: 'daily', name: 'web-1' })).toEqual(item)
  expect(await table.edit({ cadence: 'daily', name: 'web-1' }, { retention: 3 })).toBe(true)
  database.close()
})

test('a file that is no database is left as it is', () => {
  writeFileSync(path, 'clouds:\n  alpha: {}\n')
  expect(() => new Database(path)).toThrow(failure('CONFIGURATION_INVALID', /scheduled-images\.sqlite is no database, or a damaged one \(file is not a database\)/))
  expect(readFileSync(path, 'utf8')).toBe('clouds:\n  alpha: {}\n')
})

test.each([
  ['a directory that may not be written', () => chmodSync(directory, 0o555), /cannot be opened\. Make the directory writable/],
  ['tables that may not be written', () => {
    new Database(path).close()
    chmodSync(path, 0o444)
    chmodSync(directory, 0o555)
  }, /may not be written\. Make the file and its directory writable/],
  ['a directory that may not be entered', () => chmodSync(directory, 0), /cannot be opened\. Make the directory writable/],
])('%s is told of', (_, forbid, message) => {
  forbid()
  // Root may do everything: the process becomes somebody else.
  const { stdout, stderr } = spawnSync(process.execPath, [script, directory, 'open'], { encoding: 'utf8' })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({ code: 'CONFIGURATION_INVALID', message: expect.stringMatching(message) as string })
})

test('what a person breaks by hand does not become JSON that cannot be read', () => {
  const database = new Database(path)
  const insert = (text: string) => database.write('INSERT INTO schedules (cadence, schedule, item) VALUES (?, ?, ?)', 'daily', 'x', text)
  expect(() => insert('{"cadence": "daily"')).toThrow('malformed JSON')
  expect(() => insert('[]')).toThrow('CHECK constraint failed')
  database.close()
})

test('pruning forgets the runs that have expired, and no other', async () => {
  const database = new Database(path)
  const table = new RunsTable(database, () => {})
  const until = new Date('2026-11-22T01:00:00Z')
  const runs = [run({ server: id(1), status: 'good', until }), run({ server: id(2), status: 'saving', until })]
  for (const one of runs) await table.claim(one, undefined)
  await table.recordPrune('default', { at: new Date('2026-12-27T01:00:00Z'), project: undefined })
  expect((await table.get(runs)).size).toBe(2)
  await table.recordPrune('default', { at: new Date('2026-12-27T01:00:01Z'), project: undefined })
  expect([...(await table.get(runs)).values()].map(({ status }) => status)).toEqual(['saving'])
  expect(await table.lastPrune('default')).toEqual({ at: new Date('2026-12-27T01:00:01Z'), project: undefined })
  database.close()
})
