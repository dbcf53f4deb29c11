/**
 * Measures how planning grows with what is planned: each size in a process of its own, so that its peak of memory is its own.
 *
 *     npm run bench, or node bench/plan.ts
 *
 * Schedules are of all cadences in 50 zones: a tick decides about each as if none had run, and admits what is due. Images are
 * in pools of 10 to 20, a fifth of them volume-backed and a third by keep rules: a prune plans what to keep, and has it checked.
 * Times are of the processor. Growth is the time for each item over that of the size before; 1.0 is linear.
 */
import { execFileSync } from 'node:child_process'
import { createdBy, marks, type Image } from '../lib/model/image.ts'
import { timedCadences, daysOfWeek, parseSchedule, type Schedule } from '../lib/model/schedule.ts'
import type { Server } from '../lib/model/server.ts'
import { admit, type Applicant } from '../lib/planner/admission.ts'
import { decideDue, turnsAt } from '../lib/planner/due.ts'
import { brokenLaws } from '../lib/planner/gate.ts'
import { planRetention } from '../lib/planner/retention.ts'
import { indexServers, refusalOf, selectServer } from '../lib/planner/selection.ts'

interface Measure {
  /** Of processor time, so that what else the machine does counts for less. */
  readonly ms: number
  readonly peakMb: number
  /** What the inputs alone take. */
  readonly inputMb: number
  readonly outcome: string
}

const now = new Date('2026-11-21T12:00:00Z')
const dayMs = 86_400_000
const project = 'b41cef31000040008000000000000001'
const zones = Intl.supportedValuesOf('timeZone').filter((_, n) => n % 8 === 0).slice(0, 50)
const crons = ['1 6-18/2 * * *', '30 2 * * *', '*/20 * * * *', '0 0 1,15 * *', '15 4 * * 1-5']

const subjects = {
  schedules: { sizes: [1000, 10_000, 100_000], plan: planSchedules },
  images: { sizes: [10_000, 100_000, 1_000_000], plan: planImages },
} as const

const [subject, size] = process.argv.slice(2)
if (subject === 'schedules' || subject === 'images') process.stdout.write(JSON.stringify(measure(subjects[subject].plan, Number(size))))
else compareSizes()

function compareSizes(): void {
  console.log(`planning, Node ${process.versions.node}`)
  for (const [name, { sizes }] of Object.entries(subjects)) {
    let before: number | undefined
    for (const count of sizes) {
      const answer = execFileSync(process.execPath, ['--max-old-space-size=8192', import.meta.filename, name, String(count)], { encoding: 'utf8' })
      const { ms, peakMb, inputMb, outcome } = JSON.parse(answer) as Measure
      const each = (ms * 1000) / count
      console.log(
        `${String(count).padStart(9)} ${name.padEnd(9)} ${ms.toFixed(0).padStart(7)} ms   ${each.toFixed(1).padStart(6)} µs each   peak ${peakMb.toFixed(0).padStart(5)} MB, ${inputMb.toFixed(0).padStart(5)} MB before` +
          `   ${before === undefined ? '           ' : `growth ${(each / before).toFixed(2)}`}   ${outcome}`,
      )
      before = each
    }
  }
}

/** @param plan - Makes its inputs, and returns what is to be measured. */
function measure(plan: (count: number) => () => string, count: number): Measure {
  // What is built once for all is not measured.
  plan(2000)()
  const work = plan(count)
  const inputMb = peakMb()
  const began = process.cpuUsage()
  const outcome = work()
  const { user, system } = process.cpuUsage(began)
  return { ms: (user + system) / 1000, peakMb: peakMb(), inputMb, outcome }
}

function peakMb(): number {
  return process.resourceUsage().maxRSS / 1024
}

function planSchedules(count: number): () => string {
  const schedules = Array.from({ length: count }, (_, n) => scheduleOf(n))
  const servers = schedules.map((_, n): Server => ({
    id: idOf(n), name: `server-${n}`, status: 'ACTIVE', taskState: null, volumes: [], tags: [], metadata: {}, host: `host-${n % 500}`, image: undefined,
  }))
  return () => {
    const since = new Date(now.getTime() - 2 * dayMs)
    const index = indexServers(servers)
    const due: Applicant[] = []
    for (const schedule of schedules) {
      const id = (schedule.server as { id: string }).id
      const turns = turnsAt(schedule, id, now)
      const decision = decideDue(schedule, id, turns, { current: undefined, previous: undefined }, since, now)
      const server = selectServer({ id }, index, 'default')
      if (decision.kind !== 'due' || 'code' in server) continue
      due.push({ server, schedule: schedule.key, lastGood: undefined, startsAt: decision.turn.startsAt, refused: refusalOf(server, undefined, now) !== undefined, stopped: false })
    }
    const { admitted, waiting } = admit(due, { making: [], stopped: [] }, index.byId, { maxInFlight: 1000, maxInFlightPerHost: 4 })
    return `${due.length} due, ${admitted.length} admitted, ${waiting.length} waiting`
  }
}

function scheduleOf(n: number): Schedule {
  const cadence = timedCadences[n % timedCadences.length]!
  const timing = {
    daily: {}, weekly: { dayOfWeek: daysOfWeek[n % 7] }, monthly: { dayOfMonth: 1 + (n % 31) }, yearly: { month: 1 + (n % 12), dayOfMonth: 1 + (n % 31) },
    custom: { cron: crons[Math.floor(n / 5) % crons.length] },
  }[cadence]
  const at = cadence === 'custom' ? {} : { at: `${String(n % 24).padStart(2, '0')}:30` }
  return parsed({ cadence, schedule: `schedule-${n}`, server: idOf(n), timeZone: zones[Math.floor(n / 25) % zones.length], ...timing, ...at, ...rulesOf(n) })
}

/** A third goes by keep rules. */
function rulesOf(n: number): Record<string, unknown> {
  return n % 3 === 0 ? { keep: { last: 2, daily: 7, weekly: 4, monthly: 3, within: 'P3D' } } : { retention: 7 }
}

function parsed(item: Record<string, unknown>): Schedule {
  const result = parseSchedule(item)
  if (!result.valid) throw new Error(result.invalid.faults.map(({ message }) => message).join(' '))
  return result.schedule
}

function planImages(count: number): () => string {
  const images: Image[] = []
  const schedules: Schedule[] = []
  const statuses = new Map<string, string>()
  for (let pool = 0; images.length < count; pool += 1) {
    const schedule = parsed({ cadence: 'daily', schedule: `schedule-${pool}`, server: idOf(pool), timeZone: zones[pool % zones.length], ...rulesOf(pool) })
    schedules.push(schedule)
    for (let n = 0; n < 10 + (pool % 11) && images.length < count; n += 1) images.push(imageOf(images.length, schedule, n, pool % 5 === 0 ? statuses : undefined))
  }
  const existing = new Set(schedules.map(({ key }) => key))
  return () => {
    const plans = planRetention(images, schedules, existing, project, statuses, images)
    const broken = brokenLaws(plans, { project, images, schedules, existing, statuses }, images)
    if (broken.length > 0) throw new Error(broken[0])
    const removed = plans.reduce((sum, { remove }) => sum + remove.length, 0)
    return `${plans.length} pools, ${images.length - removed} kept, ${removed} removed`
  }
}

/** @param statuses - Of a volume-backed image: where its Cinder snapshot is entered. */
function imageOf(n: number, schedule: Schedule, age: number, statuses: Map<string, string> | undefined): Image {
  const snapshot = `5a500000-0000-4000-8000-${String(n).padStart(12, '0')}`
  statuses?.set(snapshot, 'available')
  const id = `1a500000-0000-4000-8000-${String(n).padStart(12, '0')}`
  return {
    id, name: `Daily-server-${n}`, owner: project, status: 'active', size: statuses ? 0 : 2 ** 30, minDiskGiB: 0, minRamMiB: 0, createdAt: new Date(now.getTime() - age * dayMs - (n % 3600) * 1000),
    protected: n % 100 === 0, visibility: 'private', hidden: false, tags: ['scheduled-images'],
    properties: {
      [marks.createdBy]: createdBy, [marks.server]: (schedule.server as { id: string }).id, [marks.schedule]: schedule.key, [marks.period]: '2026-11-21', [marks.run]: `run-${n}`, [marks.seal]: id,
      ...(statuses && { block_device_mapping: JSON.stringify([{ snapshot_id: snapshot, source_type: 'snapshot', boot_index: 0, volume_id: null }]) }),
    },
  }
}

function idOf(n: number): string {
  return `5e500000-0000-4000-8000-${String(n).padStart(12, '0')}`
}
