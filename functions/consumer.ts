import middy from '@middy/core'
import type { Context, SQSBatchResponse } from 'aws-lambda'
import { wired, type Service } from '../lib/wiring.ts'
import { hasCode } from '../lib/model/errors.ts'
import { messagesOf } from './event.ts'
import { conclude } from './summary.ts'

/**
 * Makes a Lambda handler for the messages of the shard queue, which carries them out one after the other.
 *
 * A message that cannot be read, or whose work could not be done or recorded, is given back by its id: SQS delivers it again
 * later, and after some deliveries puts it with the dead letters. The others are done.
 *
 * @param serve - The service that it is done with; by default the one that a warm Lambda keeps.
 */
export function consumer(serve: () => Service = wired) {
  return middy<unknown, SQSBatchResponse>({ timeoutEarlyInMillis: 3000 })
    .use({
      after: () => serve().flush(),
      onError: () => serve().flush(),
    })
    .handler(async (event: unknown, context: Context) => {
      const service = serve()
      const batchItemFailures: SQSBatchResponse['batchItemFailures'] = []
      for (const { messageId, body } of messagesOf(event)) {
        try {
          const started = Date.now()
          const { shard: { cloud, kind, shard, of, now }, summary } = await service.shard(body, () => context.getRemainingTimeInMillis())
          conclude(service, summary, { cloud, kind, shard, of, now: now.toISOString(), tookMs: Date.now() - started, function: context.functionName })
        } catch (error) {
          const fields = hasCode(error) ? { code: error.code } : { error }
          service.log.error(`a message of the shard queue is given back: ${error instanceof Error ? error.message : String(error)}`, { messageId, ...fields })
          batchItemFailures.push({ itemIdentifier: messageId })
        }
      }
      return { batchItemFailures }
    })
}
