import type { Context } from 'aws-lambda'
import type { Consumer } from '../../demo/aws/queue.ts'
import type { World } from '../../demo/world.ts'
import { consumer } from '../../functions/consumer.ts'
import { timedCadences } from '../../lib/model/schedule.ts'
import type { Edges, Service } from '../../lib/wiring.ts'
import { serviceIn, type TestService } from './service.ts'

/** A service that hands over what is more than five servers of a cloud. */
export function shardingIn(world: World, edges: Partial<Edges> = {}, env: Record<string, string> = {}): TestService {
  return serviceIn(world, { SHARD_QUEUE_URL: world.aws.queue.url, ...env }, { shardServers: 5, ...edges })
}

/** The function `shard`, as its queue invokes it. */
export function shardFunction(service: Service, timeLeftMs: () => number = () => 900_000): Consumer {
  const handler = consumer(() => service)
  return (event) => handler(event, { functionName: 'shard', getRemainingTimeInMillis: timeLeftMs } as Context)
}

/** All timers once, and after each what it has handed over. */
export async function tickInShards(world: World, service: TestService, at: string, atOnce = 2): Promise<void> {
  for (const cadence of timedCadences) {
    await service.snapshotAt(cadence, at)
    await world.aws.queue.deliver(shardFunction(service), atOnce)
  }
  await service.pruneAt(at)
  await world.aws.queue.deliver(shardFunction(service), atOnce)
}
