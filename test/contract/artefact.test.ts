import { execFile } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb'
import { deflateSync } from 'fflate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startAws, type LocalAws } from '../../demo/aws/services.ts'
import { createTables } from '../../demo/aws/tables.ts'
import { leaks } from '../support/secrecy.ts'
import { filesOf, makePackages, unpack } from './artefact.ts'
import { cloudUnderTest, type Json } from './harness.ts'

const cloud = await cloudUnderTest()
const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const functions = { snapshotDaily: 'snapshot-daily', snapshotWeekly: 'snapshot-weekly', snapshotMonthly: 'snapshot-monthly', snapshotYearly: 'snapshot-yearly', snapshotCustom: 'snapshot-custom', prune: 'prune', shard: 'shard' } as const
type FunctionName = keyof typeof functions

let unpacked: string
let aws: LocalAws
let logged = ''

beforeAll(async () => {
  await makePackages()
  unpacked = unpack(Object.keys(functions))
  aws = await startAws()
  Object.assign(process.env, aws.env)
  aws.parameters.set('/clouds/default', JSON.stringify(cloud.entry()))
  await createTables(new DynamoDBClient({}), { schedules: 'schedules', runs: 'runs' })
}, 120_000)
afterAll(async () => {
  rmSync(unpacked, { recursive: true, force: true })
  await aws.close()
})

/** Runs a packaged handler in a process of its own, with the environment that Lambda would give it and no more. */
async function invoke(name: FunctionName, event: object): Promise<Json> {
  const file = join(unpacked, name, 'functions', `${functions[name]}.mjs`)
  const env = { ...aws.env, SCHEDULES_TABLE: 'schedules', RUNS_TABLE: 'runs', CLOUDS_PATH: '/clouds/', EVENT_BUS: 'bus', LOG_LEVEL: 'DEBUG' }
  const { stdout, stderr } = await run(process.execPath, [join(import.meta.dirname, 'invoke.ts'), file, JSON.stringify(event)], { env })
  logged += stdout + stderr
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Json
}

describe('the packages', () => {
  test.each(Object.entries(functions))('%s holds its handler, what that imports and the source maps, and is small', (name, file) => {
    const files = Object.entries(filesOf(name))
    const code = files.filter(([path]) => path.endsWith('.mjs'))
    expect(files.filter(([path]) => !/^functions\/[\w-]+\.mjs(\.map)?$/.test(path))).toEqual([])
    expect(code.map(([path]) => path)).toContain(`functions/${file}.mjs`)
    for (const other of Object.values(functions)) if (other !== file) expect(code.map(([path]) => path)).not.toContain(`functions/${other}.mjs`)
    const deflated = code.reduce((sum, [, bytes]) => sum + deflateSync(bytes, { level: 9 }).length, 0)
    expect(deflated).toBeLessThanOrEqual(400_000)
  })

  test.runIf(process.platform === 'linux' && /^(x64|arm64)$/.test(process.arch))("are tested on the runtime that they are deployed to, whatever Node the machine has", () => {
    const template = JSON.parse(readFileSync(join(root, '.serverless/cloudformation-template-update-stack.json'), 'utf8')) as Json
    expect(template['Resources']['PruneLambdaFunction']['Properties']).toMatchObject({ Runtime: `nodejs${process.versions.node.split('.')[0]}.x`, Architectures: ['arm64'], Handler: 'functions/prune.handler' })
  })

  test('shards are taken one at a time and some at once, and come again long after their invocation is over, until they are dead letters', () => {
    const template = JSON.parse(readFileSync(join(root, '.serverless/cloudformation-template-update-stack.json'), 'utf8')) as Json
    const resources = template['Resources'] as Record<string, Json>
    const mapping = Object.values(resources).find((resource) => resource['Type'] === 'AWS::Lambda::EventSourceMapping')
    expect(mapping!['Properties']).toMatchObject({
      BatchSize: 1, FunctionResponseTypes: ['ReportBatchItemFailures'], ScalingConfig: { MaximumConcurrency: 5 }, EventSourceArn: { 'Fn::GetAtt': ['ShardQueue', 'Arn'] },
    })
    const { VisibilityTimeout, MessageRetentionPeriod, RedrivePolicy } = resources['ShardQueue']!['Properties']
    expect(VisibilityTimeout).toBeGreaterThanOrEqual(6 * resources['ShardLambdaFunction']!['Properties']['Timeout'])
    expect(RedrivePolicy).toEqual({ deadLetterTargetArn: { 'Fn::GetAtt': ['ShardDeadLetters', 'Arn'] }, maxReceiveCount: 3 })
    expect(MessageRetentionPeriod).toBeGreaterThan(VisibilityTimeout * RedrivePolicy['maxReceiveCount'])
    const given = ['SnapshotDaily', 'SnapshotCustom', 'Prune'].map((name) => resources[`${name}LambdaFunction`]!['Properties']['Environment']['Variables']['SHARD_QUEUE_URL'])
    for (const url of given) expect(url).toEqual({ Ref: 'ShardQueue' })
  })

  test('each has a role of its own, and no statement allows everything', () => {
    const template = JSON.parse(readFileSync(join(root, '.serverless/cloudformation-template-update-stack.json'), 'utf8')) as Json
    const lambdas = Object.values(template['Resources'] as Record<string, Json>).filter((resource) => resource['Type'] === 'AWS::Lambda::Function')
    const roles = lambdas.map((lambda) => /^\$\{(\w+)\.Arn\}$/.exec(lambda['Properties']['Role']['Fn::Sub'] as string)![1]!)
    expect(new Set(roles).size).toBe(lambdas.length)
    for (const role of roles) {
      const statements = template['Resources'][role]['Properties']['Policies'].flatMap((policy: Json) => policy['PolicyDocument']['Statement']) as Json[]
      for (const statement of statements) {
        expect([statement['Action']].flat().filter((action: string) => action.includes('*'))).toEqual([])
        expect(statement['Resource']).not.toBe('*')
      }
    }
  })
})

test('the packaged functions make one good image of a server for a period, though invoked twice at once', async () => {
  const server = await cloud.boot({ label: 'packaged' })
  const yesterday = new Date(Date.now() - 86_400_000)
  const date = yesterday.toISOString().slice(0, 10)
  const tables = DynamoDBDocumentClient.from(new DynamoDBClient({}))
  const common = { server, spread: 0, retention: 2, onEnable: 'now', imageName: '{server}-{cadence}-{time}' }
  const dayOfWeek = new Intl.DateTimeFormat('en', { weekday: 'long', timeZone: 'UTC' }).format(yesterday)
  await tables.send(new PutCommand({ TableName: 'schedules', Item: { cadence: 'daily', schedule: 'packaged', ...common } }))
  const event = { time: `${date}T01:00:00Z`, 'detail-type': 'Scheduled Event' }

  const summaries = await Promise.all([invoke('snapshotDaily', event), invoke('snapshotDaily', event)])
  expect(summaries[0]!['started'] + summaries[1]!['started']).toBe(1)
  const settled = () => cloud.until(async () => {
    await cloud.sleep(1)
    return invoke('prune', {})
  }, (summary) => summary['good'] === 1, 90)
  await settled()

  await tables.send(new PutCommand({ TableName: 'schedules', Item: { cadence: 'weekly', schedule: 'packaged', dayOfWeek, ...common } }))
  expect(await invoke('snapshotWeekly', event)).toMatchObject({ started: 1 })
  await settled()

  const { json } = await (await cloud.api()).request('image', 'GET', `/v2/images?instance_uuid=${server}`)
  const images = (json['images'] as Json[]).map((image) => [image['scheduled_images__schedule'], image['scheduled_images__image'] === image['id'], image['status'], image['tags']])
  expect(images.toSorted()).toEqual([
    ['daily/packaged', true, 'active', ['scheduled-images']],
    ['weekly/packaged', true, 'active', ['scheduled-images']],
  ])
  expect(aws.events.map(({ type }) => type)).toEqual(['Scheduled Image Started', 'Scheduled Image Good', 'Scheduled Image Started', 'Scheduled Image Good'])
  expect(leaks({ log: logged, events: aws.events }, cloud.secrets())).toEqual([])
  expect(logged).toContain('"message":"good: ')
}, 240_000)
