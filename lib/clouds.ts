import { hasCode } from './model/errors.ts'
import { connect, type ConnectOptions, type OpenStack } from './openstack/cloud.ts'
import { parseCloudConfig, type CloudConfig } from './openstack/config.ts'
import type { TokenCache } from './openstack/session.ts'
import type { Clouds } from './runner/ports.ts'

/** A parameter is read again after this long. */
const parameterLifeMs = 5 * 60_000

/** Where the entries of clouds are kept. */
export interface CloudEntries {
  /**
   * @returns one entry of a clouds.yaml, as YAML or JSON.
   * @throws ScheduledImagesError `CLOUD_PARAMETER_MISSING` and the like.
   */
  get(name: string): Promise<string>
}

interface Known {
  readonly config: CloudConfig
  readonly readAt: Date
  readonly tokens: TokenCache
}

/** Clouds by their entries; entry and token are kept from one tick to the next. */
export class EnteredClouds implements Clouds {
  readonly #entries: CloudEntries
  readonly #edges: Pick<ConnectOptions, 'clock' | 'sleep' | 'agent'>
  readonly #known = new Map<string, Known>()

  constructor(entries: CloudEntries, edges: Pick<ConnectOptions, 'clock' | 'sleep' | 'agent'>) {
    this.#entries = entries
    this.#edges = edges
  }

  async open(name: string, timeLeftMs: () => number): Promise<OpenStack> {
    const kept = this.#known.get(name)
    const fresh = kept !== undefined && this.#edges.clock().getTime() - kept.readAt.getTime() < parameterLifeMs
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
    const config = parseCloudConfig(await this.#entries.get(name), name)
    const kept = this.#known.get(name)
    const same = kept !== undefined && JSON.stringify(kept.config) === JSON.stringify(config)
    const known: Known = { config, readAt: this.#edges.clock(), tokens: same ? kept.tokens : {} }
    this.#known.set(name, known)
    return known
  }

  #connect({ config, tokens }: Known, timeLeftMs: () => number): Promise<OpenStack> {
    return connect(config, { tokens, timeLeftMs, ...this.#edges })
  }
}
