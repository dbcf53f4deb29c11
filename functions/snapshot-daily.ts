import { timer } from './timer.ts'

/** Snapshots the servers whose daily schedule is due. */
export const handler = timer((service, tick) => service.snapshot('daily', tick))
