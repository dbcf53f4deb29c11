import { once } from 'node:events'
import { join } from 'node:path'
import { stdin, stdout } from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { Database } from '../../lib/sqlite/database.ts'
import { RunsTable } from '../../lib/sqlite/runs-table.ts'
import { run } from '../support/builders.ts'

/**
 * A process of its own that uses the tables of a directory: `node process.ts DIRECTORY WHAT NAME`.
 *
 * - `claim` reads an instant from its input, claims the runs of fifty periods from then on, one every 20 ms, five times each, and prints how often it won.
 * - `hold` writes without end in one transaction, more than fits into memory, and prints a line once its pages are in the file.
 * - `open` opens them as a user who owns nothing, and prints the error.
 */
const [directory, what, name] = process.argv.slice(2)
const path = join(directory!, 'scheduled-images.sqlite')

if (what === 'claim') {
  const table = new RunsTable(new Database(path), () => {})
  stdout.write('ready\n')
  const [instant] = await once(stdin, 'data') as [Buffer]
  let won = 0
  for (let period = 0; period < 50; period += 1) {
    await setTimeout(Math.max(0, Number(String(instant)) + period * 20 - Date.now()))
    for (let n = 0; n < 5; n += 1) {
      if (await table.claim(run({ period: `p-${period}`, status: 'starting', runId: `${name}-${n}` }), undefined)) won += 1
    }
  }
  stdout.write(`${won}\n`, () => process.exit())
} else if (what === 'hold') {
  const database = new Database(path)
  database.read('PRAGMA cache_size = 1')
  database.alone(() => {
    database.write('DELETE FROM schedules')
    for (let n = 0; n < 2000; n += 1) database.write('INSERT INTO runs (server, run, record) VALUES (?, ?, ?)', `server-${n}`, 'half done', JSON.stringify({ text: 'x'.repeat(2000) }))
    // Whoever started this process kills it now, in the middle of the transaction.
    stdout.write('holding\n')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000)
  })
} else {
  if (process.getuid?.() === 0) process.setuid!(65_534)
  try {
    new Database(path).write('DELETE FROM schedules')
  } catch (error) {
    const { code, message } = error as Error & { code: string }
    stdout.write(JSON.stringify({ code, message }))
  }
}
