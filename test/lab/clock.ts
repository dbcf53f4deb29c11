/**
 * Preloaded into a function's process (`node --import`): sets its clock to the instant of its tick, so that a quarter of
 * an hour passes between two ticks however fast they follow each other. Timers are not touched.
 */
const offsetMs = Date.parse(process.env['CLOCK_AT'] ?? '') - Date.now()
const SystemDate = Date

globalThis.Date = class extends SystemDate {
  constructor(...given: [] | [number | string | Date]) {
    if (given.length === 0) super(SystemDate.now() + offsetMs)
    else super(...(given as [number]))
  }

  static override now(): number {
    return SystemDate.now() + offsetMs
  }
} as DateConstructor
