import { consumer } from './consumer.ts'

/** Carries out parts of plans that are too large for one invocation. */
export const handler = consumer()
