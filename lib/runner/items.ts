import { cadences, type ParsedSchedule, type Schedule } from '../model/schedule.ts'
import type { Schedules } from './ports.ts'

/** Every item of every cadence. */
export async function allSchedules(schedules: Pick<Schedules, 'query'>): Promise<ParsedSchedule[]> {
  return (await Promise.all(cadences.map((cadence) => schedules.query(cadence)))).flat()
}

/** The valid and enabled schedules of one cloud. */
export function schedulesOf(cloud: string, parsed: readonly ParsedSchedule[]): Schedule[] {
  return parsed.flatMap((item) => (item.valid && item.schedule.enabled && item.schedule.cloud === cloud ? [item.schedule] : []))
}

/** The keys of all schedules that exist, valid or not. */
export function existingKeys(parsed: readonly ParsedSchedule[]): Set<string> {
  return new Set(parsed.map((item) => (item.valid ? item.schedule.key : item.invalid.key)))
}
