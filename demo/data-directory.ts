import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deserialize, serialize } from 'node:v8'
import { databaseIn, tablesFile } from '../lib/installation.ts'
import { ScheduledImagesError } from '../lib/model/errors.ts'
import { startOpenStack, type OpenStackSimulator, type SavedCloud } from './openstack/simulator.ts'
import type { World } from './world.ts'

/** The file that makes a directory of `--local` one of the demo's: its cloud, put away. */
export const simulatorFile = 'simulator.v8'

/** Of what the file holds: another one is of another version. */
const format = 1

interface Content {
  readonly format: typeof format
  readonly cloud: SavedCloud
  /** The application credential of the cloud `default`. */
  readonly credential: { readonly id: string; readonly secret: string }
}

/** A cloud that was put away, on the loopback again; its clock stands still unless somebody waits. */
export interface KeptCloud {
  readonly openstack: OpenStackSimulator
  readonly clock: () => Date
  readonly sleep: (ms: number) => Promise<void>
  /** Its credentials, as variables of the environment. */
  readonly env: Readonly<Record<string, string>>
  /** Puts the cloud away again, as it is once it has come to rest. */
  close(): Promise<void>
}

/**
 * Makes the directory, and removes what an earlier demo left in it.
 *
 * @throws ScheduledImagesError `CONFIGURATION_INVALID` when it cannot be used, or when its tables are not a demo's.
 */
export function clearData(directory: string): void {
  if (existsSync(join(directory, tablesFile)) && !existsSync(join(directory, simulatorFile))) {
    throw new ScheduledImagesError('CONFIGURATION_INVALID', `${directory} holds tables that no demo made, and they stay as they are. Name another directory with --data.`)
  }
  try {
    mkdirSync(directory, { recursive: true })
    // What makes it the demo's goes last, and comes first.
    for (const file of [`${tablesFile}-journal`, tablesFile, simulatorFile]) rmSync(join(directory, file), { force: true })
  } catch (error) {
    throw new ScheduledImagesError('CONFIGURATION_INVALID', `The directory ${directory} cannot be used: ${(error as Error).message}.`, { cause: error })
  }
}

/** Puts a world away: its cloud, and its tables as `--local` has them. */
export async function writeData(directory: string, { openstack, aws, runs, schedules }: World): Promise<void> {
  const { auth } = JSON.parse(aws.parameters.get('/scheduled-images/local/clouds/default')!) as { auth: Record<string, string> }
  const credential = { id: auth['application_credential_id']!, secret: auth['application_credential_secret']! }
  write(directory, { format, cloud: openstack.save(), credential })
  const database = databaseIn(directory)
  const [items, records] = await Promise.all([schedules(), runs()])
  database.alone(() => {
    for (const item of items) database.write('INSERT INTO schedules (cadence, schedule, item) VALUES (?, ?, ?)', String(item['cadence']), String(item['schedule']), JSON.stringify(item))
    for (const record of records) database.write('INSERT INTO runs (server, run, record) VALUES (?, ?, ?)', String(record['server']), String(record['run']), JSON.stringify(record))
  })
  database.close()
}

/**
 * Starts the cloud of a directory.
 *
 * @param until - Lets its time go on until this instant.
 * @throws ScheduledImagesError `CONFIGURATION_INVALID` when there is no cloud in it that can be read, or time would go back.
 */
export async function openData(directory: string, until?: string): Promise<KeptCloud> {
  const { cloud, credential } = read(directory)
  let now = cloud.at
  if (until !== undefined) {
    const wanted = Date.parse(until)
    if (!(wanted >= now)) throw new ScheduledImagesError('CONFIGURATION_INVALID', `The clock of ${directory} can be set to an instant after ${new Date(now).toISOString()}, such as ${new Date(now + 86_400_000).toISOString()}, and not to "${until}".`)
    now = wanted
  }
  const clock = () => new Date(now)
  const openstack = await startOpenStack({ clock, saved: cloud })
  return {
    openstack,
    clock,
    sleep: async (ms) => {
      now += ms
    },
    env: {
      OS_AUTH_TYPE: 'v3applicationcredential',
      OS_AUTH_URL: openstack.authUrl,
      OS_APPLICATION_CREDENTIAL_ID: credential.id,
      OS_APPLICATION_CREDENTIAL_SECRET: credential.secret,
      OS_REGION_NAME: 'RegionOne',
    },
    close: async () => {
      write(directory, { format, cloud: openstack.save(), credential })
      await openstack.close()
    },
  }
}

function read(directory: string): Content {
  const path = join(directory, simulatorFile)
  const unusable = (cause?: unknown) => new ScheduledImagesError('CONFIGURATION_INVALID', `The simulated cloud in ${path} cannot be read: it is damaged, or of another version. Run npm run demo again.`, { cause })
  try {
    const content = deserialize(readFileSync(path)) as Content
    if (content.format !== format) throw unusable()
    return content
  } catch (error) {
    throw error instanceof ScheduledImagesError ? error : unusable(error)
  }
}

/** Whoever is killed meanwhile leaves the file as it was. */
function write(directory: string, content: Content): void {
  const path = join(directory, simulatorFile)
  writeFileSync(`${path}.new`, serialize(content), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
