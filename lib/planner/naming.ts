import { createdBy, marks } from '../model/image.ts'
import type { RunKey } from '../model/run.ts'
import type { Consistency, Schedule } from '../model/schedule.ts'

/** Nova's bound for an image's name, in characters. */
const longestName = 255

export interface NameParts {
  readonly server: string
  readonly period: string
  /** When the image is asked for. */
  readonly at: Date
}

/**
 * Names an image by its schedule's template, `{cadence}-{server}-{time}` unless said otherwise: `Daily-web-1-1368176524`.
 *
 * Nova wants 1 to 255 printable characters without space at either end, and Glance stores no 4-byte characters (lab
 * findings, §3), while a server's name is free text. So emoji and control characters become `_`, and the server's name
 * is cut to what the rest of the name leaves.
 */
export function imageName(schedule: Pick<Schedule, 'imageName' | 'cadence' | 'name'>, parts: NameParts): string {
  const values: Record<string, string> = {
    cadence: schedule.cadence[0]!.toUpperCase() + schedule.cadence.slice(1),
    schedule: schedule.name,
    period: parts.period,
    time: String(Math.floor(parts.at.getTime() / 1000)),
  }
  const withoutServer = schedule.imageName.replaceAll(/\{(cadence|schedule|period|time)\}/g, (_, part: string) => values[part]!)
  const [before, ...after] = printable(withoutServer).split('{server}')
  const room = Math.max(0, Math.floor((longestName - [before, ...after].join('').length) / after.length))
  return [before, ...after].join(printable(parts.server).slice(0, room)).slice(0, longestName).trim()
}

/** The metadata that createImage is given. It wins over what Nova would inherit from the server's base image. */
export function imageMetadata({ server, schedule, period }: RunKey, runId: string, consistency: Consistency): Record<string, string> {
  return {
    [marks.createdBy]: createdBy,
    [marks.server]: server,
    [marks.schedule]: schedule,
    [marks.period]: period,
    [marks.run]: runId,
    [marks.consistency]: consistency,
  }
}

/** What Nova calls printable: no control, format, surrogate or private-use character, and only plain spaces. */
function printable(text: string): string {
  return text.replaceAll(/[\u{10000}-\u{10ffff}]|[\p{C}\p{Zl}\p{Zp}]/gu, '_').replaceAll(/\p{Zs}/gu, ' ').trim()
}
