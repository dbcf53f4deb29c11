import { timer } from './timer.ts'

/** Snapshots the servers whose custom schedule is due. */
export const handler = timer((service, tick) => service.snapshot('custom', tick))
