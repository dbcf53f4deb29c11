import type { ScheduledImageEvent } from '../model/event.ts'
import type { Image, Volume, VolumeSnapshot } from '../model/image.ts'
import type { MetricName } from '../model/metric.ts'
import type { LastPrune } from '../model/record.ts'
import type { Deletion, Restart, Run, RunKey, Sweep } from '../model/run.ts'
import type { Cadence, ParsedSchedule, ScheduleItem, ScheduleKey, ScheduleState } from '../model/schedule.ts'
import type { Flavor } from '../model/flavor.ts'
import type { ComputeQuotas, VolumeQuotas } from '../model/quota.ts'
import type { NewServer, Server, ServerDetails } from '../model/server.ts'
import type { Shard } from '../model/shard.ts'

/** One cloud, entered: what the runners ask of OpenStack. Each method rejects with a `ScheduledImagesError`. */
export interface Cloud {
  /** The id of the project that the credentials are for. */
  readonly project: string
  /** How many images may be saving at once. */
  readonly maxInFlight: number
  /** The same for the servers of one compute host. */
  readonly maxInFlightPerHost: number
  readonly compute: {
    /** Every server of the project, or an error: never a part of them. */
    listServers(): Promise<Server[]>
    /** @returns undefined when the server does not exist. */
    getServer(id: string): Promise<Server | undefined>
    createImage(server: string, name: string, metadata: Record<string, string>): Promise<{ image: string; requestId: string | undefined }>
    /** Asks for it, and does not wait until the server is stopped. */
    stopServer(id: string): Promise<void>
    startServer(id: string): Promise<void>
  }
  readonly image: {
    /** Every visible image of that owner with these property values, or an error: never a part of them. Hidden ones only when asked for. */
    listImages(filter: { owner: string; properties: Record<string, string>; hidden?: boolean }): Promise<Image[]>
    getImage(id: string): Promise<Image | undefined>
    /** Adds properties and tags, and keeps the others. */
    addMarks(image: Image, properties: Record<string, string>, tags: readonly string[]): Promise<void>
    setVisibility(id: string, visibility: 'shared' | 'private'): Promise<void>
    /** A project that is a member already stays one. */
    addMember(id: string, project: string): Promise<void>
    removeMember(id: string, project: string): Promise<void>
    /** @returns false when it was gone already. */
    deleteImage(id: string): Promise<boolean>
  }
  readonly blockStorage: {
    /** Every snapshot of the project, by id; or an error. */
    listSnapshots(): Promise<Map<string, VolumeSnapshot>>
    /** @returns undefined when the volume does not exist. */
    getVolume(id: string): Promise<Volume | undefined>
    hasSnapshot(id: string): Promise<boolean>
    /** Accepts the deletion, which can still fail later. @returns false when it was gone already. */
    deleteSnapshot(id: string): Promise<boolean>
  }
}

/** One cloud, entered: what restoring asks of OpenStack. */
export interface RestoreCloud {
  readonly project: string
  readonly compute: {
    listServers(): Promise<Server[]>
    /** @returns undefined when the server does not exist. */
    inspectServer(id: string): Promise<ServerDetails | undefined>
    listFlavors(): Promise<Flavor[]>
    getQuotas(): Promise<ComputeQuotas>
    hasKey(name: string): Promise<boolean>
    /** Asks for it, and does not wait until it runs. @returns its id. */
    createServer(server: NewServer): Promise<string>
    /** Asks for it, and does not wait until it is done. */
    rebuildServer(id: string, image: string): Promise<void>
  }
  readonly image: Pick<Cloud['image'], 'listImages' | 'getImage'>
  readonly blockStorage: Pick<Cloud['blockStorage'], 'listSnapshots' | 'getVolume'> & {
    getQuotas(): Promise<VolumeQuotas>
    listVolumeTypes(): Promise<{ readonly id: string; readonly name: string }[]>
  }
}

/** Enters clouds by their names. */
export interface Clouds {
  /**
   * @param timeLeftMs - How long requests may still take.
   * @throws ScheduledImagesError `CLOUD_*`, with a sentence for the user.
   */
  open(name: string, timeLeftMs: () => number): Promise<Cloud>
}

/** The schedules table. */
export interface Schedules {
  query(cadence: Cadence): Promise<ParsedSchedule[]>
  /** Writes the given fields of `state` (undefined removes one) and nothing else; creates no item. */
  writeState(key: { cadence: string; name: string }, change: StateChange): Promise<void>
}

/** The schedules table, as people edit it. */
export interface ScheduleItems {
  get(key: ScheduleKey): Promise<ScheduleItem | undefined>
  /** @returns false when there is such an item already; it stays as it is. */
  create(item: ScheduleItem): Promise<boolean>
  /** Sets the given attributes (undefined removes one) and touches no other. @returns false when the item is gone. */
  edit(key: ScheduleKey, attributes: ScheduleItem): Promise<boolean>
  /** @returns false when it was gone already. */
  remove(key: ScheduleKey): Promise<boolean>
}

export type StateChange = { readonly [Field in keyof ScheduleState]: ScheduleState[Field] | undefined }

/** The runs table. Each write is conditional on what its caller last saw. */
export interface Runs {
  /** @returns the runs that exist, by `runKeyText`. */
  get(keys: readonly RunKey[]): Promise<Map<string, Run>>
  /**
   * Writes a run where there is none, or in place of the failed run `after`.
   * @returns false when somebody else was first.
   */
  claim(run: Run, after: Run | undefined): Promise<boolean>
  /**
   * Replaces a run by what became of it.
   * @returns false when it is no longer the run that `before` was: somebody else was first.
   */
  advance(before: Run, after: Run): Promise<boolean>
  /** The servers of a cloud that something was begun with after `since`, and is not finished. */
  serversInFlight(cloud: string, since: Date): Promise<ServersInFlight>
  /** All runs that are `starting` or `saving`, all deletions, sweeps and restarts, of all clouds or of one. */
  inFlight(cloud?: string): Promise<InFlight>
  putDeletion(deletion: Deletion): Promise<void>
  removeDeletion(deletion: Deletion): Promise<void>
  putSweep(sweep: Sweep): Promise<void>
  removeSweep(sweep: Sweep): Promise<void>
  putRestart(restart: Restart): Promise<void>
  removeRestart(restart: Restart): Promise<void>
  /** When a cloud's images were last pruned; undefined if never. */
  lastPrune(cloud: string): Promise<LastPrune | undefined>
  recordPrune(cloud: string, last: LastPrune): Promise<void>
}

/** What the runs table remembers. */
export interface RunHistory {
  /** The runs of one server, of all schedules; a run is forgotten 35 days after its period. */
  history(server: string): Promise<Run[]>
}

/** Servers by their ids. */
export interface ServersInFlight {
  /** Of the images that are being made, one for each image. */
  readonly making: readonly string[]
  /** Those that were stopped for an image and are to run again soon: not those that people were told of, since they do not start. */
  readonly stopped: readonly string[]
}

/** What is not finished. */
export interface InFlight {
  readonly runs: readonly Run[]
  readonly deletions: readonly Deletion[]
  readonly sweeps: readonly Sweep[]
  readonly restarts: readonly Restart[]
}

/** Where parts of large plans wait for the function `shard`. */
export interface Shards {
  /** How many servers of one cloud fit one of them; a plan of no more than that is carried out where it was made. */
  readonly mostServers: number
  /** @returns those that could not be sent. */
  send<Each extends Shard>(shards: readonly Each[]): Promise<readonly { readonly shard: Each; readonly reason: string }[]>
}

export interface Events {
  /** Takes the event for sending, at the latest at the end of the invocation. Never fails a run. */
  publish(event: ScheduledImageEvent): void
}

/** Numbers that alarms and dashboards watch. */
export interface Metrics {
  /** Takes one value, for sending at the latest at the end of the invocation. Never fails a run. */
  record(name: MetricName, value: number): void
}

/** Lines that machines read and people follow: one for each decision. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export interface LogFields {
  readonly cloud?: string
  readonly server?: string
  readonly schedule?: string
  readonly period?: string
  readonly image?: string
  readonly requestId?: string | undefined
  readonly [field: string]: unknown
}

/** What a runner works with. */
export interface Ports {
  readonly schedules: Schedules
  readonly runs: Runs
  readonly clouds: Clouds
  /** Without them, plans of any size are carried out where they were made. */
  readonly shards?: Shards | undefined
  readonly events: Events
  readonly metrics: Metrics
  readonly log: Log
  /** The time now. Leases and ages go by it; periods go by the tick's `now`. */
  readonly clock: () => Date
  /** A new unique id for each claim. */
  readonly newId: () => string
  /** Waits while a server is being stopped and started. */
  readonly sleep: (ms: number) => Promise<void>
  /** Plan and log only. */
  readonly dryRun: boolean
  /** How many images one invocation may delete of one cloud. */
  readonly maxDeletes: number
}

/** One firing of a timer. */
export interface Tick {
  /** The scheduled time of the firing. */
  readonly now: Date
  /** Milliseconds until the invocation is ended. */
  readonly timeLeftMs: () => number
}

/** Nothing new is begun when less than this is left of the invocation. */
export const reserveMs = 30_000
