import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { installPython } from './python.ts'
import { Stage } from './stage.ts'

const stage = new Stage('lint', {})
const directory = mkdtempSync(join(tmpdir(), 'cfn-lint-'))
let programs: string

beforeAll(async () => {
  programs = await installPython()
})
afterAll(() => rmSync(directory, { recursive: true }))

/** What cfn-lint says of a template; it warns of nothing less than of an error. */
async function lint(file: string): Promise<string> {
  const said = await promisify(execFile)(join(programs, 'cfn-lint'), ['--regions', 'eu-central-1', '--', file]).catch((error: { stdout: string; stderr: string }) => error)
  return said.stdout + said.stderr
}

test.each<[string, Record<string, string>]>([
  ['by default', {}],
  ['with every parameter', { alertEmail: 'ops@example.com', tick: 'rate(1 hour)', tables: 'existing', dashboard: 'false', silentSeconds: '10800', logRetentionDays: '365' }],
])('cfn-lint finds nothing to warn of in the template, %s, and none of its rules is left out', async (_when, params) => {
  await stage.run('package', params)
  expect(await lint(stage.templateFile)).toBe('')
})

test('a misspelt property and a mistyped parameter are found', async () => {
  const template = stage.template()
  template.Resources.SchedulesTable.Properties.DeletionProtectoinEnabled = true
  template.Parameters.Tables.Default = 'exsiting'
  const file = join(directory, 'misspelt.json')
  writeFileSync(file, JSON.stringify(template))
  const said = await lint(file)
  expect(said).toContain("'DeletionProtectoinEnabled'")
  expect(said).toContain('Default should be a value within AllowedValues')
})
