import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
let planted: string

beforeAll(() => {
  planted = mkdtempSync(join(tmpdir(), 'layers-'))
  cpSync(join(root, '.oxlintrc.json'), join(planted, '.oxlintrc.json'))
  symlinkSync(join(root, 'node_modules'), join(planted, 'node_modules'))
})
afterAll(() => rmSync(planted, { recursive: true }))

/** What the linter says of one file with this content. */
function lint(path: string, content: string): string {
  const file = join(planted, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  const { stdout } = spawnSync(process.execPath, [join(root, 'node_modules/oxlint/bin/oxlint'), '--deny-warnings', '--quiet', path], { cwd: planted, encoding: 'utf8' })
  rmSync(file)
  return stdout
}

test.each<[path: string, content: string, message: string]>([
  ['lib/model/x.ts', "import axios from 'axios'\nexport { axios }\n", 'lib/model imports zod and croner only'],
  ['lib/model/x.ts', "import { followUp } from '../planner/follow-up.ts'\nexport { followUp }\n", 'lib/model imports zod and croner only'],
  ['lib/planner/x.ts', "import { settle } from '../runner/settle.ts'\nexport { settle }\n", 'lib/planner imports lib/model and croner only'],
  ['lib/planner/x.ts', "import { readFileSync } from 'node:fs'\nexport { readFileSync }\n", 'lib/planner imports lib/model and croner only'],
  ['lib/planner/x.ts', 'export const now = Date.now()\n', 'A planner reads no clock'],
  ['lib/planner/x.ts', 'export const dice = Math.random()\n', 'A planner throws no dice'],
  ['lib/planner/gate.ts', "import { scheduledImage } from './ownership.ts'\nexport { scheduledImage }\n", 'The gate shares no code with what it checks'],
  ['lib/planner/gate.ts', "import { marks } from '../model/image.ts'\nexport { marks }\n", 'The gate shares no code with what it checks'],
  ['lib/planner/gate.ts', "import type { Ports } from '../runner/ports.ts'\nexport type { Ports }\n", 'lib/planner imports lib/model and croner only'],
  ['lib/runner/x.ts', "import { connect } from '../openstack/cloud.ts'\nexport { connect }\n", 'lib/runner imports lib/planner, lib/model and p-limit only'],
  ['lib/runner/x.ts', "import { wired } from '../wiring.ts'\nexport { wired }\n", 'lib/runner imports lib/planner, lib/model and p-limit only'],
  ['lib/openstack/x.ts', "import { EventBus } from '../aws/event-bus.ts'\nexport { EventBus }\n", 'adapters never import each other'],
  ['lib/openstack/x.ts', "import { SSMClient } from '@aws-sdk/client-ssm'\nexport { SSMClient }\n", 'lib/openstack knows OpenStack and nothing else'],
  ['lib/aws/x.ts', "import { connect } from '../openstack/cloud.ts'\nexport { connect }\n", 'adapters never import each other'],
  ['lib/aws/x.ts', "import { settle } from '../runner/settle.ts'\nexport { settle }\n", 'lib/aws imports lib/model only'],
  ['functions/x.ts', "import { snapshot } from '../lib/runner/snapshot.ts'\nexport { snapshot }\n", 'Functions call lib/wiring.ts'],
  ['functions/x.ts', "import { startWorld } from '../demo/world.ts'\nexport { startWorld }\n", 'Functions call lib/wiring.ts'],
  ['lib/sqlite/x.ts', "import { SchedulesTable } from '../aws/schedules-table.ts'\nexport { SchedulesTable }\n", 'lib/sqlite imports lib/model only'],
  ['cli/commands/x.ts', "import { connect } from '../../lib/openstack/cloud.ts'\nexport { connect }\n", 'Commands open an installation'],
  ['cli/commands/x.ts', "import { startWorld } from '../../demo/world.ts'\nexport { startWorld }\n", 'Only cli/demo-directory.ts knows the demo'],
  ['cli/demo-directory.ts', "import { connect } from '../lib/openstack/cloud.ts'\nexport { connect }\n", 'Commands open an installation'],
  ['cli/commands/x.ts', "import { DynamoDBClient } from '@aws-sdk/client-dynamodb'\nexport { DynamoDBClient }\n", 'Commands open an installation'],
])('a violation in %s is caught: %s', (path, content, message) => {
  expect(lint(path, content)).toContain(message)
})

test('what the layers allow is let through', () => {
  expect(lint('lib/planner/x.ts', "import { Cron } from 'croner'\nimport type { Run } from '../model/run.ts'\nimport { goodness } from './goodness.ts'\n\nexport const kept: [Run?] = []\nexport { Cron, goodness }\n")).toContain('0 errors')
})

test('cli/demo-directory.ts knows the demo', () => {
  expect(lint('cli/demo-directory.ts', "import { startWorld } from '../demo/world.ts'\nexport { startWorld }\n")).toContain('0 errors')
})

test('the gate may know the types of what it checks', () => {
  expect(lint('lib/planner/gate.ts', "import type { Image } from '../model/image.ts'\nimport type { RetentionPlan } from './retention.ts'\n\nexport const given: [Image?, RetentionPlan?] = []\n")).toContain('0 errors')
})

test('no planner reads the clock by `new Date()` either, and only wiring.ts reads the environment', () => {
  const sources = (folder: string) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).map((name) => join(folder, name))
  const offending = (files: string[], pattern: RegExp) => files.filter((file) => pattern.test(readFileSync(join(root, file), 'utf8')))
  expect(offending([...sources('lib/planner'), ...sources('lib/runner'), ...sources('lib/model')], /new Date\(\)|Date\.now/)).toEqual([])
  expect(offending([...sources('lib'), ...sources('functions')], /process\.env/)).toEqual([join('lib', 'wiring.ts')])
})
