import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { main } from '../cli/main.ts'
import { faultsOfEvent } from '../demo/aws/event-schemas.ts'
import { eventDetails } from '../lib/model/event.ts'
import { metricUnits } from '../lib/model/metric.ts'
import { cadences, invalidSentence, parseSchedule } from '../lib/model/schedule.ts'

/** The documents say all that the code has, and their links lead somewhere. */
const root = new URL('..', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...readdirSync(new URL('docs', root), { recursive: true, encoding: 'utf8' }).map((path) => `docs/${path}`)].filter((path) => path.endsWith('.md'))

/** What is in code in the first cell of each row of a section's tables. */
function rowsOf(document: string, section: string): string[] {
  const [, text] = read(document).split(`\n## ${section}\n`)
  expect(text, `${document} has the section "${section}"`).toBeDefined()
  return [...text!.split('\n## ')[0]!.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name!)
}

test('every attribute of the item has a row in schedules.md, and every row is an attribute', () => {
  const refused = parseSchedule({ cadence: 'daily', schedule: 'web-1', server: 'web-1', retention: 7, color: 'red' })
  const [, list] = /it knows (.*)\.$/.exec(refused.valid ? '' : invalidSentence(refused.invalid)) ?? []
  expect(list).toBeDefined()
  expect(rowsOf('docs/schedules.md', 'Fields').toSorted()).toEqual([...list!.split(/, | and /), 'state'].toSorted())
})

test('every cadence and every field of state has a row in schedules.md', () => {
  expect(rowsOf('docs/schedules.md', 'Cadences').slice(0, cadences.length)).toEqual(cadences)
  const [, fields] = /export interface ScheduleState \{(.*?)\n\}/s.exec(read('lib/model/schedule.ts'))!
  expect(rowsOf('docs/schedules.md', 'What `state` shows').toSorted()).toEqual([...fields!.matchAll(/^ {2}readonly (\w+)\?:/gm)].map(([, name]) => name!).toSorted())
})

test('every error code has a row in logs.md, and every row is a code', () => {
  const [, union] = /export type ErrorCode =(.*?)\n\n/s.exec(read('lib/model/errors.ts'))!
  const codes = [...union!.matchAll(/\| '(\w+)'/g)].map(([, code]) => code!)
  expect(codes.length).toBeGreaterThan(30)
  expect(rowsOf('docs/logs.md', 'Codes').toSorted()).toEqual(codes.toSorted())
})

test('every finding of a restore has a row in restore.md, and every row is one', () => {
  const [, union] = /export type RestoreFindingCode =(.*?)\n\n/s.exec(read('lib/planner/restore.ts'))!
  const codes = [...union!.matchAll(/\| '(\w+)'/g)].map(([, code]) => code!)
  expect(rowsOf('docs/restore.md', 'What is looked at first')).toEqual(codes)
})

test('every type of event has a row in logs.md, and an example that is as its schema says', () => {
  const types = Object.keys(eventDetails)
  expect(rowsOf('docs/logs.md', 'Events')).toEqual(expect.arrayContaining(types))
  const examples = [...read('docs/logs.md').matchAll(/^`([^`]+)`:\n\n```json\n(.*?)\n```$/gms)].map(([, type, detail]) => ({ type: type!, detail: JSON.parse(detail!) as unknown }))
  expect(examples.map(({ type }) => type).toSorted()).toEqual(types.toSorted())
  expect(examples.flatMap(faultsOfEvent)).toEqual([])
})

test('every metric has a row in metrics.md, with its unit', () => {
  const rows = [...read('docs/metrics.md').matchAll(/^\| `([^`]+)` \| (Count|Seconds) \|/gm)].map(([, name, unit]) => [name!, unit!])
  expect(rows.toSorted()).toEqual(Object.entries(metricUnits).toSorted())
})

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(document: string): string[] {
  return [...read(document).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-'))
}

test('every link between the documents leads somewhere', () => {
  const broken: string[] = []
  for (const document of documents) {
    for (const [, target] of read(document).matchAll(/\]\((?!https?:)([^)\s]*)\)/g)) {
      const [path, anchor] = target!.split('#')
      const file = path === '' ? document : posix.join(posix.dirname(document), path!)
      const exists = existsSync(new URL(file, root))
      if (!exists || (anchor !== undefined && !anchorsOf(file).includes(anchor))) broken.push(`${document}: ${target}`)
    }
  }
  expect(broken).toEqual([])
})

test('every page and every record is listed in docs/README.md', () => {
  const listed = new Set([...read('docs/README.md').matchAll(/\]\(([^)]+\.md)\)/g)].map(([, path]) => `docs/${path}`))
  expect(documents.filter((path) => path.startsWith('docs/') && path !== 'docs/README.md' && !listed.has(path))).toEqual([])
})

test('every record has a number of its own, which is the one that docs/README.md shows', () => {
  const numbers = documents.flatMap((path) => /^docs\/adr\/(\d{4})-/.exec(path)?.[1] ?? [])
  expect(numbers.length).toBeGreaterThan(20)
  expect([...new Set(numbers)]).toEqual(numbers)
  expect([...read('docs/README.md').matchAll(/^\| \[(\d{4})\]\(adr\/\1-/gm)].map(([, number]) => number)).toEqual(numbers.toSorted())
})

const analyze = process.env['PATH']!.split(delimiter).map((folder) => join(folder, 'systemd-analyze')).find((path) => existsSync(path))

test.skipIf(analyze === undefined)('systemd takes the units of local.md', () => {
  const folder = mkdtempSync(join(tmpdir(), 'units-'))
  const units = [...read('docs/local.md').matchAll(/^`\/etc\/systemd\/system\/(\S+)`:\n\n```ini\n(.*?)```$/gms)].map(([, name, text]) => ({ path: join(folder, name!), text: text! }))
  expect(units.map(({ path }) => basename(path))).toEqual(['scheduled-images.service', 'scheduled-images.timer'])
  for (const { path, text } of units) writeFileSync(path, text.replaceAll('/opt/scheduled-images/', fileURLToPath(root)))
  const { stdout, stderr, status } = spawnSync(analyze!, ['verify', ...units.map(({ path }) => path)], { encoding: 'utf8' })
  expect({ stdout, stderr, status }).toEqual({ stdout: '', stderr: '', status: 0 })
  rmSync(folder, { recursive: true })
})

test('every parameter of serverless.yml has a row in deploy.md with its default, and every row is a parameter', () => {
  const { params } = parse(read('serverless.yml'), { logLevel: 'error', merge: true }) as { params: { default: Record<string, unknown> } }
  const [, section] = read('docs/deploy.md').split('\n## Parameters\n')
  const rows = [...section!.split('\n## ')[0]!.matchAll(/^\| `(\w+)` \| `?([^|`]+?)`? \|/gm)].map(([, name, value]) => [name, value])
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(Object.entries(params.default).map(([name, value]) => [name, value === '' ? 'none' : String(value)])))
})

test('every alarm has a row in deploy.md, and every row is an alarm', () => {
  const { Resources } = parse(read('iac/alarms.yml'), { logLevel: 'error' }) as { Resources: Record<string, { Properties: { AlarmName: string } }> }
  const names = Object.values(Resources).map(({ Properties }) => Properties.AlarmName.replace('scheduled-images-${sls:stage}-', ''))
  expect(rowsOf('docs/deploy.md', 'Alarms').toSorted()).toEqual(names.toSorted())
})

test('what the alarms and the dashboard watch of ours is a metric', () => {
  const own = read('iac/alarms.yml').matchAll(/Namespace: ScheduledImages\n +MetricName: (\w+)/g)
  const shown = read('iac/dashboard.yml').matchAll(/\["ScheduledImages", "(\w+)"/g)
  const watched = [...own, ...shown].map(([, name]) => name!)
  expect(watched.length).toBeGreaterThan(5)
  expect(watched.filter((name) => !(name in metricUnits))).toEqual([])
})

test('every command has a row in cli.md, and every row is a command', async () => {
  const printed: string[] = []
  const terminal = { print: (text: string) => void printed.push(text), note: () => {}, progress: () => {}, confirm: () => Promise.resolve(false), columns: undefined, colours: false, interrupted: new AbortController().signal }
  await main(['--help'], terminal, { env: {}, clock: () => new Date(0) })
  const names = [...printed.join('\n').split('\nExamples:')[0]!.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name]) => name!).filter((name) => name !== 'help')
  const [table] = read('docs/cli.md').split('\n## ')
  expect([...table!.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name!).toSorted()).toEqual(names.toSorted())
})
