import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import { wired, type Service, type Tick } from '../lib/wiring.ts'
import { scheduledTime } from './event.ts'
import { conclude } from './summary.ts'

/**
 * Makes a Lambda handler of a job for a timer: reads the tick from the event, logs one summary line, and sends the
 * events of what was done, whether the job succeeds or not.
 *
 * The invocation ends in error only when the job could not be done or recorded, so that Lambda tries it again; a cloud or a
 * server that fails is part of the job.
 *
 * @param serve - The service that the job is done with; by default the one that a warm Lambda keeps.
 * @returns The job's summary, so that `serverless invoke` shows it.
 */
export function timer<Summary extends { readonly faults: number }>(job: (service: Service, tick: Tick) => Promise<Summary>, serve: () => Service = wired) {
  return middy<unknown, Summary>({ timeoutEarlyInMillis: 3000 })
    .use({
      after: () => serve().flush(),
      onError: () => serve().flush(),
    })
    .handler(async (event: unknown, context: Context) => {
      const service = serve()
      const started = Date.now()
      const now = scheduledTime(event, service.clock())
      const summary = await job(service, { now, timeLeftMs: () => context.getRemainingTimeInMillis() })
      conclude(service, summary, { now: now.toISOString(), tookMs: Date.now() - started, function: context.functionName })
      return summary
    })
}
