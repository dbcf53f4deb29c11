import { InvalidArgumentError } from 'commander'
import { ScheduledImagesError } from '../lib/model/errors.ts'
import { runKeyText, type Run } from '../lib/model/run.ts'
import type { Schedule } from '../lib/model/schedule.ts'
import type { Server } from '../lib/model/server.ts'
import { enterCloud } from '../lib/runner/entry.ts'
import { awaitRun, manualSchedule, snapshotNow } from '../lib/runner/manual.ts'
import type { Cloud, Tick } from '../lib/runner/ports.ts'
import type { Installation } from '../lib/wiring.ts'
import type { Context } from './context.ts'
import { findOwn, findServer } from './server.ts'
import { finishing } from './terminal.ts'

/** What an image is made of, and where. */
export interface Subject {
  readonly installation: Installation
  readonly cloud: Cloud
  readonly server: Server
}

/** @param given - Name or UUID; undefined: the machine on which this runs. */
export async function findSubject(given: string | undefined, context: Context, dryRun?: boolean): Promise<Subject> {
  const installation = context.open({ dryRun })
  const cloud = await enterCloud(context.options.cloud, context.tick(context.clock()), installation.ports)
  return { installation, cloud, server: given === undefined ? await findOwn(cloud, context) : await findServer(given, cloud) }
}

/** An image that was asked for; without a run in a dry run, and when the tick's time was over before. */
export interface ManualImage {
  readonly schedule: Schedule
  readonly run: Run | undefined
}

/**
 * Asks for an image, settles what can be settled, and prunes.
 *
 * @throws ScheduledImagesError with the reason when none is made.
 */
export async function takeImage({ installation, cloud, server }: Subject, type: string, rotation: number | undefined, tick: Tick, context: Context): Promise<ManualImage> {
  const { ports } = installation
  const schedule = await manualSchedule({ server: server.id, cloud: context.options.cloud, type, rotation }, ports)
  // From the claim on, what comes of it has to be written down.
  context.outliveInterrupt()
  const { interrupted } = context.terminal
  const tell = () => context.terminal.note(finishing)
  interrupted.addEventListener('abort', tell)
  try {
    const asked = await snapshotNow(schedule, server, cloud, tick, ports)
    if (asked.kind === 'planned' && asked.refusal) throw new ScheduledImagesError(asked.refusal.code, asked.refusal.message)
    if (asked.kind !== 'run') return { schedule, run: undefined }
    await installation.prune(tick)
    return { schedule, run: unlessFailed((await ports.runs.get([asked.run])).get(runKeyText(asked.run)) ?? asked.run) }
  } finally {
    interrupted.removeEventListener('abort', tell)
  }
}

/**
 * Waits for an image, with its progress on the terminal.
 *
 * @returns the run; in flight still after Ctrl-C, and where the tick's time is over.
 * @throws ScheduledImagesError with the reason when it failed.
 */
export async function awaitImage(run: Run, until: 'captured' | 'good', { installation, cloud }: Subject, tick: Tick, { terminal, clock }: Context): Promise<Run> {
  const report = (phase: string) => {
    const seconds = Math.floor((clock().getTime() - run.startedAt.getTime()) / 1000)
    terminal.progress(`${run.imageName}: ${phases[phase] ?? phase}, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`)
  }
  const interruption = new Promise<void>((resolve) => terminal.interrupted.addEventListener('abort', () => resolve(), { once: true }))
  const { ports } = installation
  const sleep = (ms: number) => Promise.race([ports.sleep(ms), interruption])
  try {
    return unlessFailed(await awaitRun(run, until, cloud, tick, { ...ports, sleep }, report))
  } finally {
    terminal.progress(undefined)
  }
}

/** The states of Glance, for a person who waits. */
const phases: Readonly<Record<string, string>> = {
  queued: 'queued, the disk is being copied', saving: 'saving, the image is being uploaded', active: 'active, being checked',
}

/** Whether a run still has to be settled. */
export function isInFlight({ status }: Run): boolean {
  return status === 'starting' || status === 'saving'
}

function unlessFailed(run: Run): Run {
  const isLost = run.status === 'starting' && run.problem?.code === 'ANSWER_LOST'
  if (run.status === 'failed' || isLost) throw new ScheduledImagesError(run.problem?.code ?? 'CLOUD_ERROR', run.problem?.message ?? 'No image was made.', { requestId: run.requestId })
  return run
}

/** How many good images of a type are kept. 0 would delete the image that was just made. */
export function rotation(text: string): number {
  const count = Number(text)
  if (!/^\d+$/.test(text.trim()) || count < 1 || count > 65_535) throw new InvalidArgumentError('It must be a whole number from 1 to 65535.')
  return count
}

/** What images are called and counted by. */
export function imageType(text: string): string {
  if (!/^[a-z0-9][a-z0-9_.-]{0,63}$/.test(text)) throw new InvalidArgumentError('It must be 1 to 64 lower-case letters, digits, "_", "." and "-".')
  return text
}
