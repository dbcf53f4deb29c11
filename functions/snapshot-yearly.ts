import { timer } from './timer.ts'

/** Snapshots the servers whose yearly schedule is due. */
export const handler = timer((service, tick) => service.snapshot('yearly', tick))
