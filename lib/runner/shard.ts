import { parseShard, type Shard } from '../model/shard.ts'
import type { Ports, Tick } from './ports.ts'
import { pruneShard, type PruneSummary } from './prune.ts'
import { snapshotShard } from './snapshot.ts'
import type { SnapshotSummary } from './start.ts'

/** A shard that was carried out. */
export interface ShardReport {
  readonly shard: Shard
  readonly summary: SnapshotSummary | PruneSummary
}

/**
 * Carries out one shard. A message may come twice, late, out of order, or after its work was done: what it names is decided
 * about anew, by the tables and the cloud as they are now.
 *
 * @param message - As it was sent.
 * @throws ScheduledImagesError `SHARD_INVALID`.
 */
export async function runShard(message: string, timeLeftMs: Tick['timeLeftMs'], ports: Ports): Promise<ShardReport> {
  const shard = parseShard(message, ports.clock())
  const tick: Tick = { now: shard.now, timeLeftMs }
  return { shard, summary: await (shard.kind === 'snapshot' ? snapshotShard(shard, tick, ports) : pruneShard(shard, tick, ports)) }
}
