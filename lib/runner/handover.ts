import { shardVersion, type PruneShard, type Shard } from '../model/shard.ts'
import { sliceServers } from '../planner/slices.ts'
import type { Ports, Shards, Tick } from './ports.ts'

/** What handing over counts. */
export interface HandoverCounts {
  /** Parts of plans that were sent to the function `shard`. */
  sharded: number
  faults: number
}

/**
 * Sends the shards of one cloud's plan to their queue. One that cannot be sent is a fault, and its work stays due: the next
 * tick plans it anew.
 *
 * @returns those that were sent.
 */
export async function handOver<Each extends Shard>(shards: readonly Each[], queue: Shards, ports: Ports, summary: HandoverCounts): Promise<Each[]> {
  const unsent = new Map((await queue.send(shards)).map(({ shard, reason }) => [shard, reason]))
  for (const one of shards) {
    const { cloud, shard, of, kind } = one
    const what = `shard ${shard} of ${of} of the ${kind === 'snapshot' ? 'images to start' : 'images to settle and prune'} of cloud "${cloud}"`
    const reason = unsent.get(one)
    const servers = one.kind === 'snapshot' ? { servers: one.starts.reduce((sum, start) => sum + start.servers.length, 0) } : {}
    if (reason === undefined) ports.log.info(`handed over: ${what}`, { cloud, shard, of, ...servers })
    else ports.log.error(`${what} could not be sent, and is left for the next tick: ${reason}`, { cloud, shard, of, ...servers })
  }
  summary.sharded += shards.length - unsent.size
  summary.faults += unsent.size
  return shards.filter((shard) => !unsent.has(shard))
}

/**
 * Hands over all that prune has to do for a cloud, a slice of its servers to each shard.
 *
 * @param servers - How many servers there is something to do for.
 * @param pruning - Images are to be pruned though no run should become good.
 * @returns whether all was sent.
 */
export async function handOverPrune(cloud: string, servers: number, pruning: boolean, queue: Shards, { tick, ports, summary }: { readonly tick: Tick; readonly ports: Ports; readonly summary: HandoverCounts }): Promise<boolean> {
  const slices = sliceServers(servers, queue.mostServers, ports.maxDeletes)
  const shards = slices.map((slice): PruneShard => ({ version: shardVersion, kind: 'prune', cloud, now: tick.now, ...slice, pruning }))
  return (await handOver(shards, queue, ports, summary)).length === shards.length
}
