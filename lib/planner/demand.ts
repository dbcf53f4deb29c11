import type { KeepRules } from '../model/keep.ts'
import { nextTurn, type Timing } from './calendar.ts'

const dayMs = 86_400_000
/** So many turns say how often a cron comes. */
const mostTurns = 200
const horizonDays = 28
/** A quota that lasts longer is as good as one that lasts. */
const longestDays = 3650

/** The images of one server of one schedule, or what they need of anything else. */
export interface Growth {
  /** How many there are. */
  readonly have: number
  /** How many there are at most: those that are kept, and the newest before one that it replaces is deleted. */
  readonly most: number
  readonly perDay: number
  /** What one of them takes of the quota. */
  readonly each: number
}

/** How often a schedule runs. */
export function turnsPerDay(timing: Timing, now: Date): number {
  let turns = 0
  let last = now
  while (turns < mostTurns && last.getTime() - now.getTime() < horizonDays * dayMs) {
    last = nextTurn(timing, 0, last).startsAt
    turns += 1
  }
  // From the first turn on, so that a rare one is not thought to be as frequent as it happens to be near.
  const after = nextTurn(timing, 0, last).startsAt
  const first = nextTurn(timing, 0, now).startsAt
  return (turns / (after.getTime() - first.getTime())) * dayMs
}

/** How many images rules keep of one server, at most: they may keep the same ones. */
export function mostKept({ last, daily, weekly, monthly, yearly, within }: KeepRules, perDay: number): number {
  const days = within ? within.years * 366 + within.months * 31 + within.days + within.hours / 24 : 0
  return last + daily + weekly + monthly + yearly + (within ? Math.ceil(days * perDay) + 1 : 0)
}

/**
 * What is still to come, and for how many days there is room for it.
 *
 * @param room - What is left of the quota.
 * @returns `days` undefined when there is room for all of it, or for ten years.
 */
export function demand(growths: readonly Growth[], room: number): { readonly need: number; readonly days: number | undefined } {
  const on = (day: number): number => growths.reduce((sum, { have, most, perDay, each }) => sum + Math.min(Math.max(0, most - have), Math.floor(perDay * day + 1e-9)) * each, 0)
  const need = on(Infinity)
  let [fits, exceeds] = [-1, longestDays]
  if (on(exceeds) <= room) return { need, days: undefined }
  while (exceeds - fits > 1) {
    const middle = Math.floor((fits + exceeds) / 2)
    if (on(middle) <= room) fits = middle
    else exceeds = middle
  }
  return { need, days: Math.max(0, fits) }
}
