import { test } from 'vitest'
import { halves } from './estate.ts'
import { playYear } from './year.ts'

test('over a year of hourly ticks each day has exactly the images that the calendar and the keep rules demand', () => playYear(halves[0]), 180_000)
