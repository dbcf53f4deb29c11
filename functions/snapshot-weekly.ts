import { timer } from './timer.ts'

/** Snapshots the servers whose weekly schedule is due. */
export const handler = timer((service, tick) => service.snapshot('weekly', tick))
