import { timer } from './timer.ts'

/** Settles the images that are being made, and deletes those beyond retention. */
export const handler = timer((service, tick) => service.prune(tick))
