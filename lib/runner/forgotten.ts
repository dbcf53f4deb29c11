import { hasCode } from '../model/errors.ts'
import type { Image } from '../model/image.ts'
import { isImageOf } from '../planner/ownership.ts'
import { findForgotten, recoveredRun } from '../planner/recovery.ts'
import { listMarked } from './observation.ts'
import type { Cloud } from './ports.ts'
import { fieldsOf } from './settle.ts'
import type { Invocation, Startable } from './start.ts'

/**
 * Leaves out the runs that have their image although the runs table does not know it, and writes them down anew. The cloud's
 * images are listed only when an item remembers more than the table, or when the answer to the attempt before was lost.
 */
export async function withoutForgotten(name: string, due: readonly Startable[], cloud: Cloud, { ports, summary }: Invocation): Promise<Startable[]> {
  const isSuspect = ({ decision, forgotten }: Startable) => decision.after?.problem?.code === 'ANSWER_LOST' || forgotten
  if (!due.some(isSuspect)) return [...due]
  let images: Image[]
  try {
    images = await listMarked(cloud)
  } catch (error) {
    if (!hasCode(error)) throw error
    // They stay due: a second image of a period is worse than a late one.
    const suspects = due.filter(isSuspect)
    summary.unreachable += suspects.length
    for (const { item, decision } of suspects) item.change.next = decision.turn.startsAt.toISOString()
    ports.log.error(`the runs table has forgotten runs, and their images cannot be looked for: ${error.message}`, { cloud: name, code: error.code, requestId: error.requestId })
    return due.filter((startable) => !isSuspect(startable))
  }
  const left: Startable[] = []
  for (const startable of due) {
    const { item, decision, server } = startable
    const after = decision.after?.problem?.code === 'ANSWER_LOST' ? decision.after : undefined
    // Prune may have died each time since it came.
    const late = after && images.find((image) => isImageOf(after, image, cloud.project))
    if (after && late) {
      const { problem: _problem, retryAt: _retryAt, ...rest } = after
      summary.recovered += 1
      item.change.next = decision.until.toISOString()
      ports.log.info('the image of an attempt that was given up is there after all', { ...fieldsOf(after), image: late.id })
      if (!ports.dryRun) await ports.runs.advance(after, { ...rest, status: 'saving', image: late.id })
      continue
    }
    const image = isSuspect(startable) ? findForgotten(item.schedule, server, decision.turn, images, cloud.project, decision.after) : undefined
    if (!image) {
      left.push(startable)
      continue
    }
    const run = recoveredRun(item.schedule, server, decision.turn, decision.until, image)
    summary.recovered += 1
    item.change.next = decision.until.toISOString()
    ports.log.warn('the runs table has forgotten this run; its image was found by its marks', { ...fieldsOf(run) })
    if (!ports.dryRun) await ports.runs.claim(run, decision.after)
  }
  return left
}
