/** When an item wants its images, in the words of its editor. */
export interface Timing {
  readonly cadence: 'daily' | 'weekly'
  /** `HH:MM` local. */
  readonly at: string
  readonly timeZone: string
  /** Set for weekly. */
  readonly dayOfWeek?: string
  /** Minutes. */
  readonly spread: number
}

/** One turn: its period, and the span in which a server's start may fall. */
export interface Turn {
  readonly period: string
  readonly from: Date
  readonly to: Date
}

const days = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const dayMs = 86_400_000

/** The turns that begin in a span of time, oldest first, reckoned by plain arithmetic on UTC. */
export function turnsBetween(timing: Timing, from: Date, to: Date): Turn[] {
  const turns: Turn[] = []
  const first = Math.floor(from.getTime() / dayMs) * dayMs - dayMs
  for (let midnight = first; midnight <= to.getTime() + dayMs; midnight += dayMs) {
    const date = new Date(midnight)
    if (timing.cadence === 'weekly' && days[date.getUTCDay()] !== timing.dayOfWeek?.toLowerCase()) continue
    const [hour, minute] = timing.at.split(':').map(Number)
    const local = midnight + (hour! * 60 + minute!) * 60_000
    const begins = local - offsetMs(timing.timeZone, local)
    if (begins < from.getTime() || begins > to.getTime()) continue
    turns.push({ period: date.toISOString().slice(0, 10), from: new Date(begins), to: new Date(begins + timing.spread * 60_000) })
  }
  return turns
}

/** The periods that a snapshot may be made for at a moment: the latest turn, and the one before while servers wait for their share of the spread. */
export function periodsAt(timing: Timing, now: Date): string[] {
  const turns = turnsBetween(timing, new Date(now.getTime() - 16 * dayMs), now)
  const [before, latest] = turns.slice(-2)
  if (latest === undefined) return before ? [before.period] : []
  return latest.to > now && before ? [before.period, latest.period] : [latest.period]
}

/** How far a zone is ahead of UTC; no clock is changed in the month in which the histories play. */
function offsetMs(timeZone: string, at: number): number {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' }).formatToParts(at)
  const [, sign, hours, minutes] = /^GMT(?:([+-])(\d\d):(\d\d))?$/.exec(parts.find(({ type }) => type === 'timeZoneName')!.value)!
  return sign === undefined ? 0 : Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes)) * 60_000
}
