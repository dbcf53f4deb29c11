import { parseArgs, styleText } from 'node:util'
import fc, { type RunDetails } from 'fast-check'
import { lies } from './hostile/lies.ts'
import { histories } from './model-based/history.ts'
import { crashPoints, mishaps } from './reliability/crash.ts'
import { checkOverlaps } from './reliability/overlap.ts'
import { weathers } from './reliability/stage.ts'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } } })
if (values.help) {
  process.stdout.write(`Runs the reliability tests for as long as you ask, with new seeds each time.

  npm run test:soak -- [--minutes 10] [--seed N]

It goes through every crash point, through random interleavings, through random histories and through random lies of a
cloud, in turns, and prints how many passed. It ends at the first that fails, with what is needed to play it again.
`)
  process.exit()
}

const minutes = Number(values.minutes)
let seed = values.seed === undefined ? Date.now() & 0x7fffffff : Number(values.seed)
const begun = Date.now()
const end = begun + minutes * 60_000
const passed = { 'crash points': 0, interleavings: 0, histories: 0, 'lying clouds': 0 }

interface Passed {
  readonly kind: keyof typeof passed
  readonly count: number
}

/** One turn of each kind of test after another, for ever. */
async function* turns(): AsyncGenerator<Passed> {
  const rounds = weathers.flatMap((weather) => mishaps.flatMap((mishap) => (['whole', 'in shards'] as const).map((plans) => ({ weather, mishap, plans }))))
  for (let round = 0; ; round += 1) {
    const { weather, mishap, plans } = rounds[round % rounds.length]!
    for await (const { index, call, broken, errors } of crashPoints(weather, mishap, plans)) {
      if (broken.length > 0) throw new Error(`While ${weather}, with plans ${plans}, call ${index} (${call}) ${mishap}:\n${[...broken, ...errors].join('\n')}`)
      yield { kind: 'crash points', count: 1 }
    }
    yield await runs('interleavings', checkOverlaps, 60)
    yield await runs('histories', (parameters) => fc.check(histories(), parameters), 15)
    yield await runs('lying clouds', (parameters) => fc.check(lies(), parameters), 15)
  }
}

async function runs<Ts>(kind: Passed['kind'], check: (parameters: fc.Parameters<unknown>) => Promise<RunDetails<Ts>>, count: number): Promise<Passed> {
  seed += 1
  const details = await check({ numRuns: count, seed, endOnFailure: true })
  if (details.failed) throw new Error(`${kind}:\n${fc.defaultReportMessage(details)}\n${String(details.errorInstance)}`)
  return { kind, count }
}

function report(): string {
  const counts = Object.entries(passed).map(([kind, count]) => `${count} ${kind}`)
  return `${((Date.now() - begun) / 60_000).toFixed(1)} min: ${counts.join(', ')}`
}

process.stdout.write(`soaking for ${minutes} min, seed ${seed}\n`)
let told = begun
try {
  for await (const { kind, count } of turns()) {
    passed[kind] += count
    if (Date.now() > end) break
    if (Date.now() - told < 10_000) continue
    told = Date.now()
    process.stdout.write(`${report()}\n`)
  }
} catch (error) {
  process.stderr.write(`${styleText('red', 'failed after')} ${report()}\n${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
process.stdout.write(`${styleText('green', 'all of it passed')}: ${report()}\n`)
// Processes that died in a test are still waiting for answers.
process.exit()
