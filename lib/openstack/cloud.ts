import { BlockStorage } from './block-storage.ts'
import { Compute } from './compute.ts'
import type { CloudConfig } from './config.ts'
import { ImageService } from './image.ts'
import { Identity } from './login.ts'
import { Session, type TokenCache } from './session.ts'
import { Transport, type TransportOptions } from './transport.ts'

export interface ConnectOptions extends Pick<TransportOptions, 'timeLeftMs' | 'sleep' | 'random' | 'agent'> {
  readonly clock: () => Date
  /** Keeps the token for the next session with the same credentials. */
  readonly tokens?: TokenCache
}

/** One project in one region of one OpenStack, with a client for each service. */
export interface OpenStack {
  readonly project: string
  readonly maxInFlight: number
  readonly maxInFlightPerHost: number
  readonly identity: Identity
  readonly compute: Compute
  readonly image: ImageService
  readonly blockStorage: BlockStorage
}

/**
 * Enters a cloud: asks for a token, unless one is kept, and checks that the services are where they should be.
 *
 * @throws ScheduledImagesError `CLOUD_*`, with a sentence for the user.
 */
export async function connect(config: CloudConfig, { tokens, clock, ...options }: ConnectOptions): Promise<OpenStack> {
  const transport = new Transport({ ...options, cacert: config.cacert, verify: config.verify })
  const session = new Session(config, transport, clock, tokens)
  await Promise.all([session.endpoint('compute'), session.endpoint('image')])
  return {
    project: await session.project(),
    maxInFlight: config.maxInFlight,
    maxInFlightPerHost: config.maxInFlightPerHost,
    identity: new Identity(session),
    compute: new Compute(session),
    image: new ImageService(session),
    blockStorage: new BlockStorage(session),
  }
}
