import { randomUUID } from 'node:crypto'
import type { Agent } from 'node:http'
import { Logger } from '@aws-lambda-powertools/logger'
import { Metrics as EmbeddedMetrics } from '@aws-lambda-powertools/metrics'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { EventBridgeClient } from '@aws-sdk/client-eventbridge'
import { SSMClient } from '@aws-sdk/client-ssm'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { EventBus } from './aws/event-bus.ts'
import { ParameterStore } from './aws/parameter-store.ts'
import { RunsTable } from './aws/runs-table.ts'
import { SchedulesTable } from './aws/schedules-table.ts'
import type { ShardQueue } from './aws/shard-queue.ts'
import type { CloudEntries, EnteredClouds } from './clouds.ts'
import { ScheduledImagesError } from './model/errors.ts'
import { metricUnits } from './model/metric.ts'
import type { TimedCadence } from './model/schedule.ts'
import type { Log, Metrics, Ports, RunHistory, ScheduleItems, Shards, Tick } from './runner/ports.ts'
import { prune, type PruneSummary } from './runner/prune.ts'
import { runShard, type ShardReport } from './runner/shard.ts'
import { snapshot } from './runner/snapshot.ts'
import type { SnapshotSummary } from './runner/start.ts'

export type { Tick } from './runner/ports.ts'

/** What the functions can do. */
export interface Service {
  readonly log: Log
  readonly clock: () => Date
  snapshot(cadence: TimedCadence, tick: Tick): Promise<SnapshotSummary>
  prune(tick: Tick): Promise<PruneSummary>
  /** Carries out a message of the shard queue. */
  shard(message: string, timeLeftMs: Tick['timeLeftMs']): Promise<ShardReport>
  /** Sends the events and the metrics of what was done. */
  flush(): Promise<void>
}

/** What a terminal can do, with all that a person may want to look at and change. */
export interface Installation extends Omit<Service, 'shard'> {
  readonly ports: Omit<Ports, 'clouds'> & { readonly schedules: ScheduleItems; readonly runs: RunHistory; readonly clouds: Pick<EnteredClouds, 'open'> }
}

/** What is real on Lambda, and otherwise in a demo or a terminal. */
export interface Edges {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: () => Date
  readonly newId: () => string
  /** How long a retry of a read waits, and a look at a server that is being stopped, is real time; a simulated one need not. */
  readonly sleep: (ms: number) => Promise<void>
  readonly log: Log
  readonly metrics: Metrics
  /** Where the entries of clouds are, in place of Parameter Store. */
  readonly cloudEntries: (parameters: ParameterStore) => CloudEntries
  /** How requests over plain HTTP leave the process. */
  readonly agent: Agent
  /** How many servers of one cloud fit one shard. */
  readonly shardServers: number
}

/** The environment of the functions; serverless.yml sets it. */
const environment = z.object({
  SCHEDULES_TABLE: z.string().min(1),
  RUNS_TABLE: z.string().min(1),
  CLOUDS_PATH: z.string().regex(/\/$/),
  EVENT_BUS: z.string().min(1),
  SHARD_QUEUE_URL: z.url().optional(),
  STAGE: z.string().min(1).default('local'),
  DRY_RUN: z.stringbool().default(false),
  MAX_DELETES: z.coerce.number().int().min(0).default(100),
  LOG_LEVEL: z.string().toUpperCase().pipe(z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR'])).default('INFO'),
})

/** Ten at a time, at half a minute each, they take ten of the fifteen minutes that an invocation has. */
const serversPerShard = 200

/** AWS answers in milliseconds; a connection that died while a Lambda was frozen must not use up the invocation. */
const requestTimeouts = { connectionTimeout: 3000, requestTimeout: 10_000, throwOnRequestTimeout: true }

let service: Service | undefined

/**
 * The composition root: builds everything once, at the first call, so that importing a function does nothing and a warm
 * Lambda keeps its clients and tokens.
 *
 * @param edges - What to use in place of the real things; counts at the first call only.
 * @throws ScheduledImagesError `CONFIGURATION_INVALID`, which names the variable.
 */
export function wired(edges: Partial<Edges> = {}): Service {
  return (service ??= wire({ env: process.env, clock: () => new Date(), newId: randomUUID, ...edges }))
}

/** Builds a service of its own; {@link wired} is what the functions share. */
export function wire({ env, clock, newId, sleep, agent, shardServers = serversPerShard, ...given }: Pick<Edges, 'env' | 'clock' | 'newId'> & Partial<Edges>): Service & Installation {
  const parsed = environment.safeParse(env)
  if (!parsed.success) {
    const names = parsed.error.issues.map(({ path }) => path.join()).join(', ')
    throw new ScheduledImagesError('CONFIGURATION_INVALID', `The environment variables ${names} are missing or malformed; serverless.yml sets them.`)
  }
  const settings = parsed.data
  const log = given.log ?? jsonLog(settings.LOG_LEVEL)
  const { metrics, publish } = given.metrics ? { metrics: given.metrics, publish: () => {} } : embeddedMetrics(settings.STAGE)
  const requestHandler = { ...requestTimeouts, ...(agent && { httpAgent: agent }) }
  const dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient({ requestHandler }), {
    marshallOptions: { removeUndefinedValues: true },
    // A number that people typed with too many digits must not make its whole page unreadable.
    unmarshallOptions: { wrapNumbers: Number },
  })
  const events = new EventBus(settings.EVENT_BUS, new EventBridgeClient({ requestHandler }), (message, fields) => log.error(message, fields))
  const parameters = new ParameterStore(settings.CLOUDS_PATH, new SSMClient({ requestHandler }))
  const entries = given.cloudEntries?.(parameters) ?? parameters
  let clouds: Promise<EnteredClouds> | undefined
  let queue: Promise<ShardQueue> | undefined
  const shards = (url: string): Shards => ({
    mostServers: shardServers,
    send: async (some) => {
      // Few users ever have one, so its client is no part of a cold start.
      queue ??= import('./aws/shard-queue.ts').then((module) => new module.ShardQueue(url, new module.SQSClient({ requestHandler })))
      return (await queue).send(some)
    },
  })
  const ports = {
    schedules: new SchedulesTable(settings.SCHEDULES_TABLE, dynamodb),
    runs: new RunsTable(settings.RUNS_TABLE, dynamodb, newId, (message, fields) => log.error(message, fields)),
    clouds: {
      open: async (name: string, timeLeftMs: () => number) => {
        // Most ticks have nothing to do, and half of a cold start would be spent on what only the others need.
        clouds ??= import('./clouds.ts').then((module) => new module.EnteredClouds(entries, { clock, ...(sleep && { sleep }), ...(agent && { agent }) }))
        return (await clouds).open(name, timeLeftMs)
      },
    },
    // What is only planned and logged is done in one place.
    shards: settings.SHARD_QUEUE_URL === undefined || settings.DRY_RUN ? undefined : shards(settings.SHARD_QUEUE_URL),
    events: settings.DRY_RUN ? { publish: () => {} } : events,
    metrics,
    log,
    clock,
    newId,
    sleep: sleep ?? ((ms: number) => new Promise((resolve) => setTimeout(resolve, ms))),
    dryRun: settings.DRY_RUN,
    maxDeletes: settings.MAX_DELETES,
  }
  return {
    ports,
    log,
    clock,
    snapshot: (cadence, tick) => snapshot(cadence, tick, ports),
    prune: (tick) => prune(tick, ports),
    shard: (message, timeLeftMs) => runShard(message, timeLeftMs, ports),
    flush: () => {
      publish()
      return events.flush()
    },
  }
}

/** JSON lines, as Powertools writes them. */
function jsonLog(logLevel: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR'): Log {
  const logger = new Logger({ serviceName: 'scheduled-images', logLevel })
  return {
    debug: (message, fields = {}) => logger.debug(message, fields),
    info: (message, fields = {}) => logger.info(message, fields),
    warn: (message, fields = {}) => logger.warn(message, fields),
    error: (message, fields = {}) => logger.error(message, fields),
  }
}

/**
 * CloudWatch's embedded metric format: one line of JSON for an invocation, in the function's log.
 *
 * @returns the metrics, and what writes the line.
 */
function embeddedMetrics(stage: string): { metrics: Metrics; publish: () => void } {
  const embedded = new EmbeddedMetrics({ namespace: 'ScheduledImages', serviceName: 'scheduled-images', defaultDimensions: { stage } })
  return {
    metrics: { record: (name, value) => void embedded.addMetric(name, metricUnits[name], value) },
    publish: () => {
      if (embedded.hasStoredMetrics()) embedded.publishStoredMetrics()
    },
  }
}
