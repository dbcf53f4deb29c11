import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'

/** `docs/conformance.md` lists the tests of each case, by file and title; the titles name their cases. */
const root = new URL('..', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
const files = readdirSync(new URL('test', root), { recursive: true, encoding: 'utf8' })
  .map((path) => `test/${path}`)
  .filter((path) => path.endsWith('.test.ts') && path !== 'test/conformance.test.ts')

/** The titles of a file's tests and groups of tests that name a case, as they are written. */
function titlesOf(file: string): string[] {
  return [...read(file).matchAll(/(['"`])(case \d.*?)\1/g)].map(([, , title]) => title!)
}

/** `case 5, 64, 65 and 69: …` */
function casesOf(title: string): number[] {
  const [, numbers] = /^case (\d+(?:(?:, | and )\d+)*): /.exec(title) ?? []
  expect(numbers, `the title "${title}" begins with its cases`).toBeDefined()
  return numbers!.split(/, | and /).map(Number)
}

interface Row {
  readonly number: number
  readonly right: string
  /** As `<file>: <title>`. */
  readonly tests: readonly string[]
  readonly where: string
}

function rowOf(line: string): Row {
  const [, number, right, tests, where] = line.split(' | ').join('|').split('|').map((cell) => cell.trim())
  return { number: Number(number), right: right!, tests: tests!.split('<br>').map((entry) => entry.replace(/^`(.*?)`/, '$1')), where: where! }
}

const rows = read('docs/conformance.md').split('\n').filter((line) => /^\| \d+ \|/.test(line)).map(rowOf)
const listed = rows.flatMap(({ number, tests }) => tests.map((entry) => `${number} ${entry}`))
const written = files.flatMap((file) => titlesOf(file).flatMap((title) => casesOf(title).map((number) => `${number} ${file}: ${title}`)))
const lastCase = 69

/** Where the widest of a case's tests of our own behaviour runs; those of `wire-…` are of OpenStack's. */
function whereOf({ tests }: Row): string {
  const own = tests.filter((entry) => !entry.startsWith('test/contract/wire-'))
  const onCloud = own.filter((entry) => entry.startsWith('test/contract/'))
  if (onCloud.some((entry) => !/^test\/contract\/(outage|configured)/.test(entry))) return 'simulator, real OpenStack'
  if (onCloud.some((entry) => entry.includes('/outage'))) return 'simulator, real OpenStack with outages'
  return onCloud.length > 0 ? 'simulator, real OpenStack that is set up so' : 'simulator'
}

test('each case has one row, in order', () => {
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: lastCase }, (_, n) => n + 1))
  expect(rows.filter(({ right }) => right === '')).toEqual([])
})

test('each test that the table lists exists, under that title', () => {
  expect(listed.filter((entry) => !written.includes(entry))).toEqual([])
})

test('each test whose title names a case is listed for it', () => {
  expect(written.filter((entry) => !listed.includes(entry))).toEqual([])
})

test('each case has a test of what our own code does, and the table says where the widest runs', () => {
  expect(rows.filter(({ tests }) => tests.every((entry) => entry.startsWith('test/contract/wire-'))).map(({ number }) => number)).toEqual([])
  expect(rows.map(({ number, where }) => [number, where])).toEqual(rows.map((row) => [row.number, whereOf(row)]))
})
