import { randomUUID } from 'node:crypto'
import { Logger } from '@aws-lambda-powertools/logger'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { EventBridgeClient } from '@aws-sdk/client-eventbridge'
import { SSMClient } from '@aws-sdk/client-ssm'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { EventBus } from './aws/event-bus.ts'
import { ParameterStore } from './aws/parameter-store.ts'
import { RunsTable } from './aws/runs-table.ts'
import { SchedulesTable } from './aws/schedules-table.ts'
import { hasCode, ScheduledImagesError } from './model/errors.ts'
import type { Cadence } from './model/schedule.ts'
import { connect } from './openstack/cloud.ts'
import { parseCloudConfig, type CloudConfig } from './openstack/config.ts'
import type { TokenCache } from './openstack/session.ts'
import { createAgents, type Agents } from './openstack/transport.ts'
import type { Cloud, Clouds, Log, Ports, Tick } from './runner/ports.ts'
import { prune, type PruneSummary } from './runner/prune.ts'
import { snapshot, type SnapshotSummary } from './runner/snapshot.ts'

export type { Tick } from './runner/ports.ts'

/** What the functions can do. */
export interface Service {
  readonly log: Log
  readonly clock: () => Date
  snapshot(cadence: Cadence, tick: Tick): Promise<SnapshotSummary>
  prune(tick: Tick): Promise<PruneSummary>
  /** Sends the events of what was done. */
  flush(): Promise<void>
}

/** What is real on Lambda, and otherwise in a demo. */
export interface Edges {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: () => Date
  readonly newId: () => string
  readonly log: Log
}

/** The environment of the functions; serverless.yml sets it. */
const environment = z.object({
  SCHEDULES_TABLE: z.string().min(1),
  RUNS_TABLE: z.string().min(1),
  CLOUDS_PATH: z.string().regex(/\/$/),
  EVENT_BUS: z.string().min(1),
  DRY_RUN: z.stringbool().default(false),
  LOG_LEVEL: z.string().toUpperCase().pipe(z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR'])).default('INFO'),
})

let service: Service | undefined

/**
 * The composition root: builds everything once, at the first call, so that importing a function does nothing and a warm
 * Lambda keeps its connections and tokens.
 *
 * @param edges - What to use in place of the real things; counts at the first call only.
 * @throws ScheduledImagesError `CONFIGURATION_INVALID`, which names the variable.
 */
export function wired(edges: Partial<Edges> = {}): Service {
  return (service ??= wire({ env: process.env, clock: () => new Date(), newId: randomUUID, ...edges }))
}

/** Builds a service of its own; {@link wired} is what the functions share. */
export function wire({ env, clock, newId, log: givenLog }: Omit<Edges, 'log'> & Partial<Pick<Edges, 'log'>>): Service {
  const parsed = environment.safeParse(env)
  if (!parsed.success) {
    const names = parsed.error.issues.map(({ path }) => path.join()).join(', ')
    throw new ScheduledImagesError('CONFIGURATION_INVALID', `The environment variables ${names} are missing or malformed; serverless.yml sets them.`)
  }
  const settings = parsed.data
  const log = givenLog ?? jsonLog(settings.LOG_LEVEL)
  const dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient({}), {
    marshallOptions: { removeUndefinedValues: true },
    // A number that people typed with too many digits must not make its whole page unreadable.
    unmarshallOptions: { wrapNumbers: Number },
  })
  const events = new EventBus(settings.EVENT_BUS, new EventBridgeClient({}), (message, fields) => log.error(message, fields))
  const ports: Ports = {
    schedules: new SchedulesTable(settings.SCHEDULES_TABLE, dynamodb),
    runs: new RunsTable(settings.RUNS_TABLE, dynamodb, (message, fields) => log.error(message, fields)),
    clouds: new ParameterClouds(new ParameterStore(settings.CLOUDS_PATH, new SSMClient({})), clock),
    events,
    log,
    clock,
    newId,
    dryRun: settings.DRY_RUN,
  }
  return {
    log,
    clock,
    snapshot: (cadence, tick) => snapshot(cadence, tick, ports),
    prune: (tick) => prune(tick, ports),
    flush: () => events.flush(),
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

/** A parameter is read again after this long. */
const parameterLifeMs = 5 * 60_000

interface Known {
  readonly config: CloudConfig
  readonly readAt: Date
  readonly tokens: TokenCache
  readonly agents: Agents
}

/** Clouds whose entries are in Parameter Store; parameter, token and sockets are kept from one tick to the next. */
class ParameterClouds implements Clouds {
  readonly #store: ParameterStore
  readonly #clock: () => Date
  readonly #known = new Map<string, Known>()

  constructor(store: ParameterStore, clock: () => Date) {
    this.#store = store
    this.#clock = clock
  }

  async open(name: string, timeLeftMs: () => number): Promise<Cloud> {
    const kept = this.#known.get(name)
    const fresh = kept !== undefined && this.#clock().getTime() - kept.readAt.getTime() < parameterLifeMs
    try {
      return await this.#connect(fresh ? kept : await this.#read(name), timeLeftMs)
    } catch (error) {
      this.#known.delete(name)
      // The credentials may have been replaced since they were read.
      if (!fresh || !hasCode(error, 'CLOUD_AUTH_FAILED')) throw error
      return this.#connect(await this.#read(name), timeLeftMs)
    }
  }

  async #read(name: string): Promise<Known> {
    const config = parseCloudConfig(await this.#store.get(name), name)
    const kept = this.#known.get(name)
    const same = kept !== undefined && JSON.stringify(kept.config) === JSON.stringify(config)
    const known: Known = { config, readAt: this.#clock(), tokens: same ? kept.tokens : {}, agents: same ? kept.agents : createAgents(config) }
    this.#known.set(name, known)
    return known
  }

  #connect({ config, tokens, agents }: Known, timeLeftMs: () => number): Promise<Cloud> {
    return connect(config, { tokens, agents, timeLeftMs, clock: this.#clock })
  }
}
