import { dirname, join, resolve } from 'node:path'
import type { ParameterStore } from './aws/parameter-store.ts'
import { EnteredClouds, type CloudEntries } from './clouds.ts'
import { ScheduledImagesError } from './model/errors.ts'
import type { ConnectOptions, OpenStack } from './openstack/cloud.ts'
import { findCloud, listClouds, type ClientCloud } from './openstack/client-config.ts'
import type { ClientEdges } from './openstack/client-files.ts'
import { parseCloudConfig } from './openstack/config.ts'

/** A cloud whose credentials are kept, and where: for people. */
export interface KeptCloud {
  readonly name: string
  readonly source: string
}

export type CloudEdges = Pick<ConnectOptions, 'clock' | 'sleep' | 'agent'>

/** Where the credentials of clouds are kept, for the people who keep them. */
export abstract class CloudKeeper {
  readonly #find: ClientEdges
  readonly #edges: CloudEdges
  readonly #clouds: EnteredClouds

  /** @param find - How this terminal finds credentials. */
  constructor(entries: CloudEntries, find: ClientEdges, edges: CloudEdges) {
    this.#find = find
    this.#edges = edges
    this.#clouds = new EnteredClouds(entries, edges)
  }

  abstract list(): Promise<KeptCloud[]>
  /** Where a cloud's credentials are, or would be: for people. */
  abstract sourceOf(name: string): string
  /** @throws ScheduledImagesError where entries are files that people edit. */
  abstract demandEditable(name: string): void
  /** Stores an entry, in place of an older one. */
  abstract put(name: string, entry: ClientCloud['entry']): Promise<void>
  /** @returns false when there was none. */
  abstract remove(name: string): Promise<boolean>

  /** Enters a cloud with what is kept here, whatever this terminal's own credentials are. */
  open(name: string, timeLeftMs: () => number): Promise<OpenStack> {
    return this.#clouds.open(name, timeLeftMs)
  }

  /** Enters a cloud with an entry that is kept nowhere yet. */
  tryEntry(cloud: string, { entry }: ClientCloud, timeLeftMs: () => number): Promise<OpenStack> {
    return new EnteredClouds({ get: async () => JSON.stringify(entry) }, this.#edges).open(cloud, timeLeftMs)
  }

  /**
   * Finds the entry that a cloud is to be made of, and looks whether it can be used.
   *
   * @param from - A file, whose entries alone count, with the `secure.yaml` beside it; undefined: as python-openstackclient finds one.
   * @param entry - Its name there. Without it: the entry that has the cloud's own name, or the only one.
   * @throws ScheduledImagesError `CREDENTIALS_MISSING`, `CREDENTIALS_INVALID` or `CLOUD_PARAMETER_INVALID`; none shows a value.
   */
  entryFor(cloud: string, from: string | undefined, entry: string | undefined): ClientCloud {
    const { readFile, cwd } = this.#find
    const file = from === undefined ? undefined : resolve(cwd, from)
    if (file !== undefined && readFile(file) === undefined) throw new ScheduledImagesError('CREDENTIALS_MISSING', `${file} does not exist, or may not be read.`)
    const find = file === undefined ? this.#find : { ...this.#find, env: { OS_CLIENT_CONFIG_FILE: file, OS_CLIENT_SECURE_FILE: join(dirname(file), 'secure.yaml') } }
    const names = file === undefined ? [] : listClouds(find).map(({ name }) => name)
    const own = names.includes(cloud) ? cloud : undefined
    if (entry === undefined && own === undefined && names.length > 1) throw new ScheduledImagesError('CREDENTIALS_MISSING', `${file} has several clouds; say by --entry which one is meant: ${names.join(', ')}.`)
    const found = findCloud(find, entry ?? own)
    parseCloudConfig(JSON.stringify(found.entry), cloud, `The ${found.source}`)
    return found
  }
}

/** Clouds of a deployed stage: a SecureString parameter for each. */
export class ParameterKeeper extends CloudKeeper {
  readonly #store: ParameterStore

  constructor(store: ParameterStore, find: ClientEdges, edges: CloudEdges) {
    super(store, find, edges)
    this.#store = store
  }

  async list(): Promise<KeptCloud[]> {
    return (await this.#store.list()).map((name) => ({ name, source: this.sourceOf(name) }))
  }

  sourceOf(name: string): string {
    return `parameter ${this.#store.parameterOf(name)}`
  }

  async put(name: string, entry: ClientCloud['entry']): Promise<void> {
    await this.#store.put(name, JSON.stringify(entry))
  }

  demandEditable(): void {}

  remove(name: string): Promise<boolean> {
    return this.#store.remove(name)
  }
}

/** Clouds of one machine: entries of clouds.yaml, which people edit themselves. */
export class ClientKeeper extends CloudKeeper {
  readonly #find: ClientEdges

  constructor(find: ClientEdges, edges: CloudEdges) {
    super(clientEntries(find), find, edges)
    this.#find = find
  }

  async list(): Promise<KeptCloud[]> {
    return listClouds(this.#find)
  }

  sourceOf(name: string): string {
    return findCloud(this.#find, name).source
  }

  demandEditable(name: string): never {
    const [first] = listClouds(this.#find)
    const place = first ? `${first.source} is one` : 'there is none yet, and DIR/clouds.yaml is looked for first'
    throw new ScheduledImagesError('CONFIGURATION_INVALID', `With --local DIR a cloud is an entry of a clouds.yaml (${place}). Add or remove "${name}" in that file yourself.`)
  }

  async put(name: string): Promise<never> {
    return this.demandEditable(name)
  }

  async remove(name: string): Promise<never> {
    return this.demandEditable(name)
  }
}

/** Entries as python-openstackclient finds them. */
export function clientEntries(find: ClientEdges): CloudEntries {
  return { get: async (name) => JSON.stringify(findCloud(find, name).entry) }
}
