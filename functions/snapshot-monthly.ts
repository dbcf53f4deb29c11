import { timer } from './timer.ts'

/** Snapshots the servers whose monthly schedule is due. */
export const handler = timer((service, tick) => service.snapshot('monthly', tick))
