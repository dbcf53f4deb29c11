import { CloudFormationClient, ListStackResourcesCommand } from '@aws-sdk/client-cloudformation'
import { CloudWatchClient, GetDashboardCommand } from '@aws-sdk/client-cloudwatch'
import { CloudWatchLogsClient, DescribeLogGroupsCommand } from '@aws-sdk/client-cloudwatch-logs'
import { DescribeTableCommand, DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb'
import { DescribeEventBusCommand, EventBridgeClient, ListEventBusesCommand, ListRulesCommand, ListTargetsByRuleCommand } from '@aws-sdk/client-eventbridge'
import { GetRolePolicyCommand, IAMClient, ListRolePoliciesCommand, ListRolesCommand } from '@aws-sdk/client-iam'
import { GetPolicyCommand, LambdaClient, ListEventSourceMappingsCommand, ListFunctionsCommand } from '@aws-sdk/client-lambda'
import { GetTopicAttributesCommand, ListTopicsCommand, SNSClient } from '@aws-sdk/client-sns'
import { GetQueueAttributesCommand, ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { DynamoDBDocumentClient, PutCommand, ScanCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../contract/harness.ts'
import { startMoto, type Moto } from './moto.ts'
import { installPython } from './python.ts'
import { Stage } from './stage.ts'

/** One life of a stage, told in order: deployed, deployed again, changed, removed, deployed where its tables were left. */

const timers = ['snapshotDaily', 'snapshotWeekly', 'snapshotMonthly', 'snapshotYearly', 'snapshotCustom', 'prune']
const functions = [...timers, 'shard']
const named = (name: string) => `scheduled-images-prod-${name}`
const arn = (rest: string) => `arn:aws:${rest.replace(':', ':eu-central-1:123456789012:')}`

/**
 * moto 5.2.5 makes nothing of these types, nor of these properties of a table, and shows no outputs after a change set.
 * What they say is checked in the template instead.
 */
const unknownToMoto = new Set(['AWS::CloudWatch::Alarm', 'AWS::Lambda::EventInvokeConfig', 'AWS::S3::BucketPolicy', 'AWS::SNS::Subscription', 'AWS::SNS::TopicPolicy', 'AWS::SQS::QueuePolicy'])
const unknownOfTables = { recovery: 'PointInTimeRecoverySpecification', forgetting: 'TimeToLiveSpecification' }

let moto: Moto
let prod: Stage
let template: Json
const item = { cadence: 'daily', schedule: 'web-1', server: 'web-1', retention: 7 }

beforeAll(async () => {
  moto = await startMoto(await installPython())
  Object.assign(process.env, moto.env)
  prod = new Stage('prod', moto.env)
  expect(await prod.run('deploy', { alertEmail: 'ops@example.com' })).toContain('Service deployed to stack scheduled-images-prod')
  template = prod.template()
})
afterAll(() => moto?.close())

const send = {
  tables: () => new DynamoDBClient({}),
  documents: () => DynamoDBDocumentClient.from(new DynamoDBClient({})),
  events: () => new EventBridgeClient({}),
}

/** The resources of a type, by their logical ids. */
function ofType(type: string): Record<string, Json> {
  return Object.fromEntries(Object.entries(template.Resources as Record<string, Json>).filter(([, resource]) => resource.Type === type).map(([id, { Properties }]) => [id, Properties]))
}

async function resourcesOfStack(): Promise<string[]> {
  const { StackResourceSummaries } = await new CloudFormationClient({}).send(new ListStackResourcesCommand({ StackName: 'scheduled-images-prod' }))
  return StackResourceSummaries!.map(({ LogicalResourceId }) => LogicalResourceId!).filter((id) => id !== '').toSorted()
}

async function dailyItems(): Promise<unknown> {
  return (await send.documents().send(new ScanCommand({ TableName: named('schedules') }))).Items
}

describe('after the first deployment', () => {
  test('the stack holds every resource of the template that moto can make', async () => {
    const possible = Object.entries(template.Resources as Record<string, Json>).filter(([, { Type }]) => !unknownToMoto.has(Type))
    expect(await resourcesOfStack()).toEqual(possible.map(([id]) => id).toSorted())
    expect(possible.length).toBeGreaterThan(40)
  })

  test('its outputs are the names that a person needs', () => {
    const outputs = Object.entries(template.Outputs as Record<string, Json>).map(([name, { Value }]) => [name, Value])
    expect(Object.fromEntries(outputs)).toMatchObject({
      SchedulesTableName: named('schedules'), RunsTableName: named('runs'), CloudsPath: '/scheduled-images/prod/clouds/',
      EventBusName: { 'Fn::GetAtt': ['EventBus', 'Name'] }, AlertsTopic: { Ref: 'Alerts' },
    })
  })

  test.each([
    ['schedules', 'SchedulesTable', { cadence: 'HASH', schedule: 'RANGE' }, []],
    ['runs', 'RunsTable', { server: 'HASH', run: 'RANGE' }, [{ IndexName: 'in-flight', KeySchema: [{ AttributeName: 'inFlight', KeyType: 'HASH' }, { AttributeName: 'startedAt', KeyType: 'RANGE' }], Projection: { ProjectionType: 'ALL' } }]],
  ])('the table of %s has its keys, costs by use, and cannot be deleted by accident', async (name, id, keys, indexes) => {
    const { Table } = await send.tables().send(new DescribeTableCommand({ TableName: named(name) }))
    expect(Object.fromEntries(Table!.KeySchema!.map(({ AttributeName, KeyType }) => [AttributeName, KeyType]))).toEqual(keys)
    expect(Table!.GlobalSecondaryIndexes ?? []).toMatchObject(indexes)
    expect(Table).toMatchObject({ BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' }, DeletionProtectionEnabled: true })
    expect(template.Resources[id]).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain', Properties: { [unknownOfTables.recovery]: { PointInTimeRecoveryEnabled: true } } })
  })

  test('runs are forgotten by their time to live', () => {
    expect(template.Resources.RunsTable.Properties[unknownOfTables.forgetting]).toEqual({ AttributeName: 'expiresAt', Enabled: true })
  })

  test('each function runs on arm64 with its settings, a role and a log of its own', async () => {
    const { Functions } = await new LambdaClient({}).send(new ListFunctionsCommand({}))
    expect(Functions!.map(({ FunctionName }) => FunctionName).toSorted()).toEqual(functions.map(named).toSorted())
    for (const { Runtime, MemorySize, Timeout, FunctionName, Environment } of Functions!) {
      expect({ Runtime, MemorySize, Timeout, Environment: Environment?.Variables }).toEqual({
        Runtime: 'nodejs24.x',
        MemorySize: 512,
        Timeout: FunctionName === named('prune') ? 300 : 900,
        Environment: expect.objectContaining({
          STAGE: 'prod', SCHEDULES_TABLE: named('schedules'), RUNS_TABLE: named('runs'), CLOUDS_PATH: '/scheduled-images/prod/clouds/',
          EVENT_BUS: 'scheduled-images-prod', DRY_RUN: 'false', MAX_DELETES: '100', LOG_LEVEL: 'INFO',
        }) as unknown,
      })
    }
    expect(new Set(Functions!.map(({ Role }) => Role)).size).toBe(functions.length)
    const { logGroups } = await new CloudWatchLogsClient({}).send(new DescribeLogGroupsCommand({ logGroupNamePrefix: '/aws/lambda/' }))
    expect(logGroups!.map(({ logGroupName, retentionInDays }) => [logGroupName, retentionInDays]).toSorted()).toEqual(functions.map((name) => [`/aws/lambda/${named(name)}`, 30]).toSorted())
  })

  test('no role allows a call or a resource that is not named, nor the log of another function', async () => {
    const iam = new IAMClient({})
    const { Roles } = await iam.send(new ListRolesCommand({}))
    expect(Roles).toHaveLength(functions.length)
    for (const { RoleName, AssumeRolePolicyDocument } of Roles!) {
      expect(JSON.parse(decodeURIComponent(AssumeRolePolicyDocument!))).toMatchObject({ Statement: [{ Principal: { Service: 'lambda.amazonaws.com' } }] })
      const { PolicyNames } = await iam.send(new ListRolePoliciesCommand({ RoleName: RoleName! }))
      const documents = await Promise.all(PolicyNames!.map((PolicyName) => iam.send(new GetRolePolicyCommand({ RoleName: RoleName!, PolicyName }))))
      // moto writes it as Python does.
      const statements = documents.flatMap(({ PolicyDocument }) => (JSON.parse(decodeURIComponent(PolicyDocument!).replaceAll("'", '"')) as Json).Statement) as Json[]
      expect(statements.length).toBeGreaterThan(4)
      const actions = statements.flatMap(({ Action }) => Action as string | string[])
      const resources = statements.flatMap(({ Resource }) => Resource as string | string[])
      expect(actions.filter((action) => !/^[a-z]+:[A-Za-z]+$/.test(action))).toEqual([])
      expect(resources.filter((resource) => !resource.startsWith('arn:aws:'))).toEqual([])
      // Clouds are named by their owner.
      expect(resources.filter((resource) => resource.includes('*'))).toEqual([arn('ssm:parameter/scheduled-images/prod/clouds/*')])
      const logs = statements.filter(({ Action }) => [Action].flat().includes('logs:PutLogEvents')).map(({ Resource }) => Resource as string)
      const name = functions.find((one) => RoleName!.toLowerCase().includes(`${one.toLowerCase()}role`))!
      // AWS's ends in `:*`, moto's does not.
      expect(logs).toEqual([arn(`logs:log-group:/aws/lambda/${named(name)}`)])
    }
  })

  test('each timer fires every 15 minutes, tries again until the next tick, and then keeps what it could not deliver', async () => {
    const { Rules } = await send.events().send(new ListRulesCommand({}))
    expect(Rules!.map(({ ScheduleExpression, State }) => [ScheduleExpression, State])).toEqual(timers.map(() => ['rate(15 minutes)', 'ENABLED']))
    const targets = await Promise.all(Rules!.map(async ({ Name, Arn }) => {
      const { Targets } = await send.events().send(new ListTargetsByRuleCommand({ Rule: Name! }))
      const name = Targets![0]!.Id!
      expect(Targets).toEqual([{
        Id: name,
        Arn: arn(`lambda:function:${named(name)}`),
        RetryPolicy: { MaximumEventAgeInSeconds: 900, MaximumRetryAttempts: 10 },
        DeadLetterConfig: { Arn: arn('sqs:scheduled-images-prod-timer-dead-letters') },
      }])
      const { Policy } = await new LambdaClient({}).send(new GetPolicyCommand({ FunctionName: named(name) }))
      expect(JSON.parse(Policy!)).toMatchObject({ Statement: [{ Principal: { Service: 'events.amazonaws.com' }, Action: 'lambda:InvokeFunction', Condition: { ArnLike: { 'AWS:SourceArn': Arn } } }] })
      return name
    }))
    expect(targets.toSorted()).toEqual(timers.toSorted())
  })

  test('Lambda repeats an invocation that ended in error, and then keeps it', () => {
    const configurations = Object.values(ofType('AWS::Lambda::EventInvokeConfig'))
    expect(configurations).toHaveLength(timers.length)
    for (const configuration of configurations) {
      expect(configuration).toMatchObject({
        MaximumRetryAttempts: 2, MaximumEventAgeInSeconds: 900, Qualifier: '$LATEST',
        DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['TimerDeadLetters', 'Arn'] } } },
      })
    }
  })

  test('dead letters are kept for two weeks, encrypted, and only the timers may put them there', async () => {
    const sqs = new SQSClient({})
    const { QueueUrls } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: named('timer') }))
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: QueueUrls![0]!, AttributeNames: ['All'] }))
    expect(Attributes).toMatchObject({ MessageRetentionPeriod: '1209600' })
    expect(template.Resources.TimerDeadLetters.Properties.SqsManagedSseEnabled).toBe(true)
    const [statement, ...others] = template.Resources.TimerDeadLettersPolicy.Properties.PolicyDocument.Statement
    expect(others).toEqual([])
    expect(statement).toMatchObject({ Principal: { Service: 'events.amazonaws.com' }, Action: 'sqs:SendMessage' })
    expect(statement.Condition.ArnEquals['aws:SourceArn'].map((arn: Json) => arn['Fn::GetAtt'][0])).toEqual(Object.keys(ofType('AWS::Events::Rule')).filter((id) => id.endsWith('Schedule1')))
  })

  test('shards wait in a queue that gives them to their function, and keeps what it cannot do', async () => {
    const sqs = new SQSClient({})
    const attributesOf = async (name: string) => {
      const { QueueUrls } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: named(name) }))
      return (await sqs.send(new GetQueueAttributesCommand({ QueueUrl: QueueUrls![0]!, AttributeNames: ['All'] }))).Attributes!
    }
    const { VisibilityTimeout, RedrivePolicy } = await attributesOf('shards')
    expect(VisibilityTimeout).toBe('5400')
    expect(JSON.parse(RedrivePolicy!)).toMatchObject({ deadLetterTargetArn: arn('sqs:scheduled-images-prod-shard-dead-letters'), maxReceiveCount: 3 })
    expect((await attributesOf('shard-dead-letters'))['MessageRetentionPeriod']).toBe('1209600')
    const { EventSourceMappings } = await new LambdaClient({}).send(new ListEventSourceMappingsCommand({}))
    expect(EventSourceMappings).toMatchObject([{ EventSourceArn: arn('sqs:scheduled-images-prod-shards'), FunctionArn: arn(`lambda:function:${named('shard')}`), BatchSize: 1 }])
  })

  test('the bus has a rule for each sentence, with the topic as its target', async () => {
    const { EventBuses } = await send.events().send(new ListEventBusesCommand({}))
    expect(EventBuses!.map(({ Name }) => Name)).toContain('scheduled-images-prod')
    const { Rules } = await send.events().send(new ListRulesCommand({ EventBusName: 'scheduled-images-prod' }))
    const types = await Promise.all(Rules!.map(async ({ Name, EventPattern }) => {
      const { Targets } = await send.events().send(new ListTargetsByRuleCommand({ Rule: Name!, EventBusName: 'scheduled-images-prod' }))
      expect(Targets).toMatchObject([{ Arn: arn('sns:scheduled-images-prod-alerts'), InputTransformer: { InputTemplate: expect.stringMatching(/^"Scheduled Images prod: /) as unknown } }])
      const { source, 'detail-type': type } = JSON.parse(EventPattern!) as Json
      expect(source).toEqual(['scheduled-images'])
      return type[0] as string
    }))
    expect(types.toSorted()).toEqual(['Schedule Invalid', 'Scheduled Image Failed', 'Scheduled Image Failed', 'Scheduled Image Missed', 'Scheduled Images Refused'])
    expect((await send.events().send(new DescribeEventBusCommand({ Name: 'scheduled-images-prod' }))).Policy).toBeUndefined()
  })

  test('the topic takes what the bus and the alarms say, and the given address gets it', async () => {
    const sns = new SNSClient({})
    const { Topics } = await sns.send(new ListTopicsCommand({}))
    expect(Topics).toEqual([{ TopicArn: arn('sns:scheduled-images-prod-alerts') }])
    expect((await sns.send(new GetTopicAttributesCommand(Topics![0] as { TopicArn: string }))).Attributes).toMatchObject({ DisplayName: 'Scheduled Images prod' })
    const statements = template.Resources.AlertsPolicy.Properties.PolicyDocument.Statement as Json[]
    expect(statements.map(({ Principal, Action, Resource }) => [Principal.Service, Action, Resource])).toEqual([
      ['events.amazonaws.com', 'sns:Publish', { Ref: 'Alerts' }],
      ['cloudwatch.amazonaws.com', 'sns:Publish', { Ref: 'Alerts' }],
    ])
    expect(statements[1]!['Condition'].ArnLike['aws:SourceArn']['Fn::Sub']).toMatch(/:alarm:scheduled-images-prod-\*$/)
    expect(template.Resources.AlertMail).toEqual({ Type: 'AWS::SNS::Subscription', Condition: 'AlertEmailIsGiven', Properties: { TopicArn: { Ref: 'Alerts' }, Protocol: 'email', Endpoint: { Ref: 'AlertEmail' } } })
    expect(template.Parameters.AlertEmail.Default).toBe('ops@example.com')
  })

  const alarm = (name: string) => {
    const found = Object.values(ofType('AWS::CloudWatch::Alarm')).find(({ AlarmName }) => AlarmName === named(name))
    expect(found, name).toBeDefined()
    return found!
  }

  test.each([
    ['errors', 'AWS/Lambda Errors', 'GreaterThanOrEqualToThreshold', 'notBreaching'],
    ['silence', 'AWS/Lambda Invocations', 'LessThanThreshold', 'breaching'],
    ['dead-letters', 'AWS/SQS ApproximateNumberOfMessagesVisible', 'GreaterThanOrEqualToThreshold', 'notBreaching'],
    ['overdue', 'ScheduledImages SchedulesOverdue', 'GreaterThanOrEqualToThreshold', 'ignore'],
    ['refused', 'ScheduledImages PlansRefused', 'GreaterThanOrEqualToThreshold', 'notBreaching'],
    ['capped', 'ScheduledImages DeletionsCapped', 'GreaterThanOrEqualToThreshold', 'notBreaching'],
  ])('the alarm %s watches %s', (name, metric, ComparisonOperator, TreatMissingData) => {
    expect(alarm(name)).toMatchObject({ ComparisonOperator, TreatMissingData, Threshold: 1, EvaluationPeriods: 1, AlarmActions: [{ Ref: 'Alerts' }] })
    const watched = metricsOf(alarm(name))
    expect(new Set(watched.map(({ Namespace, MetricName }) => `${Namespace} ${MetricName}`))).toEqual(new Set([metric]))
    if (metric.startsWith('ScheduledImages')) expect(watched[0]!.Dimensions).toEqual([{ Name: 'service', Value: 'scheduled-images' }, { Name: 'stage', Value: 'prod' }])
  })

  test('no other alarm is there, and those over all functions, timers and queues leave none out', () => {
    expect(Object.keys(ofType('AWS::CloudWatch::Alarm'))).toHaveLength(6)
    const lambdas = Object.keys(ofType('AWS::Lambda::Function'))
    for (const [name, those] of [['errors', lambdas], ['silence', lambdas.filter((id) => id !== 'ShardLambdaFunction')]] as const) {
      const watched = metricsOf(alarm(name)).map(({ Dimensions }) => Dimensions[0]!['Value'].Ref as string)
      expect(watched.toSorted()).toEqual(those.toSorted())
      expect(termsOf(alarm(name))).toHaveLength(watched.length)
    }
    const queues = metricsOf(alarm('dead-letters')).map(({ Dimensions }) => Dimensions[0]!['Value']['Fn::GetAtt'][0] as string)
    expect(queues.toSorted()).toEqual(Object.keys(ofType('AWS::SQS::Queue')).filter((id) => id.includes('DeadLetter')).toSorted())
    expect(termsOf(alarm('dead-letters'))).toHaveLength(queues.length)
  })

  test('the dashboard shows the alarms, and metrics of functions, queues and logs that are there', async () => {
    const { DashboardBody } = await new CloudWatchClient({}).send(new GetDashboardCommand({ DashboardName: 'scheduled-images-prod' }))
    const { widgets } = JSON.parse(DashboardBody!) as Json
    const alarms = Object.values(ofType('AWS::CloudWatch::Alarm')).map(({ AlarmName }) => `${arn('cloudwatch:alarm')}:${AlarmName}`)
    expect(widgets[0].properties.alarms.toSorted()).toEqual(alarms.toSorted())
    const metrics = widgets.flatMap(({ properties }: Json) => properties.metrics ?? []).flat().filter((part: unknown) => typeof part === 'string') as string[]
    expect(new Set(metrics.filter((part) => part.startsWith('scheduled-images-prod-')))).toEqual(new Set([...functions, 'timer-dead-letters', 'shard-dead-letters'].map(named)))
    const { query } = widgets.find(({ type }: Json) => type === 'log').properties
    expect([...query.matchAll(/SOURCE '([^']+)'/g)].map(([, group]) => group)).toEqual(functions.map((name) => `/aws/lambda/${named(name)}`))
  })
})

describe('in the life of a stage', () => {
  test('a second deployment of the same changes nothing', async () => {
    await send.documents().send(new PutCommand({ TableName: named('schedules'), Item: item }))
    expect(await prod.run('deploy', { alertEmail: 'ops@example.com' })).toContain('No changes to deploy. Deployment skipped.')
  })

  test('a parameter is changed by deploying with it, and nothing is lost', async () => {
    const before = await resourcesOfStack()
    await prod.run('deploy', { dryRun: 'true', tick: 'rate(1 hour)', maxDeletes: '5', logLevel: 'DEBUG', dashboard: 'false' })
    const { Functions } = await new LambdaClient({}).send(new ListFunctionsCommand({}))
    for (const { Environment } of Functions!) expect(Environment!.Variables).toMatchObject({ DRY_RUN: 'true', MAX_DELETES: '5', LOG_LEVEL: 'DEBUG' })
    const { Rules } = await send.events().send(new ListRulesCommand({}))
    expect(new Set(Rules!.map(({ ScheduleExpression }) => ScheduleExpression))).toEqual(new Set(['rate(1 hour)']))
    expect(prod.template().Parameters).toMatchObject({ AlertEmail: { Default: '' }, DashboardWanted: { Default: 'false' } })
    expect((await resourcesOfStack()).filter((id) => id !== 'Dashboard')).toEqual(before.filter((id) => id !== 'Dashboard'))
    expect(await dailyItems()).toEqual([item])
  })

  test('its removal leaves the tables with their items, and nothing else', async () => {
    await prod.run('remove')
    expect((await send.tables().send(new ListTablesCommand({}))).TableNames!.toSorted()).toEqual([named('runs'), named('schedules')])
    expect(await dailyItems()).toEqual([item])
    expect((await new LambdaClient({}).send(new ListFunctionsCommand({}))).Functions).toEqual([])
    expect((await send.events().send(new ListRulesCommand({}))).Rules).toEqual([])
    expect((await send.events().send(new ListEventBusesCommand({}))).EventBuses!.map(({ Name }) => Name)).toEqual(['default'])
    expect((await new IAMClient({}).send(new ListRolesCommand({}))).Roles).toEqual([])
    expect((await new SNSClient({}).send(new ListTopicsCommand({}))).Topics ?? []).toEqual([])
    expect((await new SQSClient({}).send(new ListQueuesCommand({}))).QueueUrls ?? []).toEqual([])
    expect((await new CloudWatchLogsClient({}).send(new DescribeLogGroupsCommand({}))).logGroups).toEqual([])
  })

  test('it is deployed again with the tables that were left, once it is told of them', async () => {
    await expect(prod.run('deploy')).rejects.toThrow('failed to deploy')
    expect(await dailyItems()).toEqual([item])
    expect(await prod.run('deploy', { tables: 'existing' })).toContain('Service deployed')
    expect(await resourcesOfStack()).not.toContain('SchedulesTable')
    expect((await new LambdaClient({}).send(new ListFunctionsCommand({}))).Functions).toHaveLength(functions.length)
    expect(await dailyItems()).toEqual([item])
  })

  test('another stage lives beside it', async () => {
    const dev = new Stage('dev', moto.env)
    await dev.run('deploy')
    expect((await new LambdaClient({}).send(new ListFunctionsCommand({}))).Functions).toHaveLength(2 * functions.length)
    await prod.run('remove')
    expect((await new LambdaClient({}).send(new ListFunctionsCommand({}))).Functions!.map(({ FunctionName }) => FunctionName).toSorted()).toEqual(functions.map((name) => `scheduled-images-dev-${name}`).toSorted())
    expect(await dailyItems()).toEqual([item])
  })
})

/** What an alarm watches, by itself or through an expression. */
function metricsOf({ Metrics, Namespace, MetricName, Dimensions }: Json): { Namespace: string; MetricName: string; Dimensions: Json[] }[] {
  if (!Metrics) return [{ Namespace, MetricName, Dimensions }]
  return Metrics.filter(({ MetricStat }: Json) => MetricStat).map(({ MetricStat }: Json) => MetricStat.Metric)
}

/** The metrics that an alarm's expression names. */
function termsOf({ Metrics }: Json): string[] {
  const [{ Expression }, ...others] = Metrics
  const terms = [...Expression.matchAll(/FILL\((\w+), 0\)/g)].map(([, id]) => id as string)
  expect(terms).toEqual(others.map(({ Id }: Json) => Id))
  return terms
}
