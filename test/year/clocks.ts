const minuteMs = 60_000
const stride = 360

/** What the clocks of one zone show at each minute of a span of time. */
export interface Clocks {
  /** The first minute of the span, in minutes since 1970. */
  readonly from: number
  /** What clocks show at each minute, in minutes since 1970 as if the zone were UTC. */
  readonly shown: Int32Array
}

/** Reads a zone's clocks from `Intl`: each six hours, and at each minute where clocks do not go on by six hours meanwhile. */
export function readClocks(timeZone: string, from: Date, to: Date): Clocks {
  const format = new Intl.DateTimeFormat('en-GB', { timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' })
  const read = (minute: number): number => {
    const shown: Record<string, number> = {}
    for (const { type, value } of format.formatToParts(minute * minuteMs)) shown[type] = Number(value)
    return Date.UTC(shown['year']!, shown['month']! - 1, shown['day'], shown['hour'], shown['minute']) / minuteMs
  }
  const first = from.getTime() / minuteMs
  const shown = new Int32Array(to.getTime() / minuteMs - first)
  let before = read(first)
  for (let begin = 0; begin < shown.length; begin += stride) {
    const after = read(first + begin + stride)
    for (let minute = 0; minute < stride; minute += 1) shown[begin + minute] = after - before === stride ? before + minute : read(first + begin + minute)
    before = after
  }
  return { from: first, shown }
}

/** What clocks show at an instant, to the minute. */
export function shownAt({ from, shown }: Clocks, instant: Date): number {
  return shown[Math.floor(instant.getTime() / minuteMs) - from]!
}

/** The first minute at which clocks show at least a time, for times in ascending order; Infinity once the span is over. */
export function* searchFor({ from, shown }: Clocks, times: Iterable<number>): Generator<readonly [time: number, minute: number]> {
  let index = 0
  for (const time of times) {
    while (index < shown.length && shown[index]! < time) index += 1
    yield [time, index < shown.length ? from + index : Infinity]
  }
}
