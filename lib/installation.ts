import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ParameterStore } from './aws/parameter-store.ts'
import { clientEntries, ClientKeeper, ParameterKeeper, type CloudKeeper } from './cloud-keeper.ts'
import { EnteredClouds, type CloudEntries } from './clouds.ts'
import { ScheduledImagesError } from './model/errors.ts'
import { readClientFile, type ClientEdges } from './openstack/client-files.ts'
import { findOwnServer, type OwnServer } from './openstack/own-server.ts'
import { prune } from './runner/prune.ts'
import { snapshot } from './runner/snapshot.ts'
import { Database } from './sqlite/database.ts'
import { RunsTable } from './sqlite/runs-table.ts'
import { SchedulesTable } from './sqlite/schedules-table.ts'
import { wire, type Edges, type Installation } from './wiring.ts'

/** What a terminal gives: the rest of the edges is what it is everywhere. */
export type TerminalEdges = Pick<Edges, 'env' | 'clock' | 'log'> & Partial<Pick<Edges, 'newId' | 'sleep' | 'agent'>>

/** An installation, and where the credentials of its clouds are kept. */
export interface KeptInstallation extends Installation {
  readonly keeper: CloudKeeper
}

export interface InstallationOptions {
  /** Plan and log only. */
  readonly dryRun: boolean
}

const noMetrics: Edges['metrics'] = { record: () => {} }

/**
 * The tables, parameters and bus of one deployed stage, with the SDK's usual configuration. The names are those of
 * serverless.yml; the functions' own variables (`SCHEDULES_TABLE` and so on) come before them.
 *
 * @param cloud - The cloud that `OS_CLOUD` or `OS_AUTH_URL` stands for, where the terminal has one of them; every other is entered by its parameter.
 */
export function openStage(stage: string, cloud: string, { dryRun }: InstallationOptions, { env, ...edges }: TerminalEdges): KeptInstallation {
  const named = env['OS_CLOUD'] !== undefined || env['OS_AUTH_URL'] !== undefined
  const find = clientEdges(env)
  let store: ParameterStore
  const cloudEntries = (parameters: ParameterStore): CloudEntries => {
    store = parameters
    const own = clientEntries(find)
    return { get: (name) => (named && name === cloud ? own.get('default') : parameters.get(name)) }
  }
  const installation = wire({
    newId: randomUUID,
    metrics: noMetrics,
    ...edges,
    cloudEntries,
    env: {
      SCHEDULES_TABLE: `scheduled-images-${stage}-schedules`,
      RUNS_TABLE: `scheduled-images-${stage}-runs`,
      CLOUDS_PATH: `/scheduled-images/${stage}/clouds/`,
      EVENT_BUS: `scheduled-images-${stage}`,
      ...env,
      DRY_RUN: String(dryRun),
    },
  })
  return { ...installation, keeper: new ParameterKeeper(store!, find, edges) }
}

/**
 * The same without AWS, for one machine: the tables are in a SQLite database in a directory, which is made where there is
 * none, and clouds are entries of clouds.yaml. Nobody is sent events; the log has what they say.
 *
 * @param directory - Its own `clouds.yaml`, if it has one, comes before those of the user and the machine.
 * @throws ScheduledImagesError `CONFIGURATION_INVALID` when the directory cannot be used, `TABLES_UNAVAILABLE` when another process holds it.
 */
export function openDirectory(directory: string, { dryRun }: InstallationOptions, { env, clock, log, newId = randomUUID, sleep = wait, agent }: TerminalEdges): KeptInstallation {
  const database = databaseIn(directory)
  const find = clientEdges(env, directory)
  const toCloud = { clock, sleep, ...(agent && { agent }) }
  const ports: Installation['ports'] = {
    schedules: new SchedulesTable(database),
    runs: new RunsTable(database, (message, fields) => log.error(message, fields)),
    clouds: new EnteredClouds(clientEntries(find), toCloud),
    events: { publish: (event) => log.debug(`event: ${event.type}`, { event }) },
    metrics: noMetrics,
    log,
    clock,
    newId,
    sleep,
    dryRun,
    maxDeletes: 100,
  }
  return {
    ports,
    keeper: new ClientKeeper(find, toCloud),
    log,
    clock,
    snapshot: (cadence, tick) => snapshot(cadence, tick, ports),
    prune: (tick) => prune(tick, ports),
    flush: async () => {},
  }
}

/** Where OpenStack's metadata service is, in a server; `SCHEDULED_IMAGES_METADATA_URL` comes before it. */
const metadataUrl = 'http://169.254.169.254'

/** Which server of an OpenStack this machine is, as far as it knows. */
export function ownServer(env: Edges['env']): Promise<OwnServer> {
  return findOwnServer({ metadataUrl: env['SCHEDULED_IMAGES_METADATA_URL'] ?? metadataUrl, readFile: readClientFile })
}

/** The file of the tables in a directory of `--local`. */
export const tablesFile = 'scheduled-images.sqlite'

/** Opens the tables of a directory, which is made where there is none. */
export function databaseIn(directory: string): Database {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new ScheduledImagesError('CONFIGURATION_INVALID', `The directory ${directory} cannot be used for the tables: ${(error as Error).message}.`, { cause: error })
  }
  return new Database(join(directory, tablesFile))
}

/** How this machine finds credentials. @param directory - Its `clouds.yaml` comes first, if it has one and the environment names no other. */
function clientEdges(env: Edges['env'], directory?: string): ClientEdges {
  const own = directory === undefined ? undefined : join(directory, 'clouds.yaml')
  const file = env['OS_CLIENT_CONFIG_FILE'] ?? own
  // As with a file that is named: what is not there is passed over.
  const secure = env['OS_CLIENT_SECURE_FILE'] ?? (directory !== undefined && file === own && existsSync(file!) ? join(directory, 'secure.yaml') : undefined)
  return { env: { ...env, OS_CLIENT_CONFIG_FILE: file, OS_CLIENT_SECURE_FILE: secure }, readFile: readClientFile, home: homedir(), cwd: process.cwd() }
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
