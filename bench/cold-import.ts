/**
 * Measures what a cold start spends on importing a packaged function: each import in a process of its own, the functions
 * and an empty module in turn, so that whatever else the machine does falls on all of them alike.
 *
 *     npm run package && node bench/cold-import.ts [ROUNDS]
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { deflateSync, unzipSync } from 'fflate'

const rounds = Number(process.argv[2] ?? 15)
const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'cold-import-'))
const sizes = new Map<string, number>()
const modules = new Map([['empty', join(folder, 'empty.mjs')]])
writeFileSync(join(folder, 'empty.mjs'), 'export {}\n')
for (const [name, handler] of [['snapshotDaily', 'snapshot-daily'], ['snapshotCustom', 'snapshot-custom'], ['prune', 'prune']] as const) {
  const code = Object.entries(unzipSync(readFileSync(join(root, '.serverless', `${name}.zip`)))).filter(([path]) => path.endsWith('.mjs'))
  mkdirSync(join(folder, name, 'functions'), { recursive: true })
  for (const [path, bytes] of code) writeFileSync(join(folder, name, path), bytes)
  sizes.set(name, code.reduce((sum, [, bytes]) => sum + deflateSync(bytes, { level: 9 }).length, 0))
  modules.set(name, join(folder, name, 'functions', `${handler}.mjs`))
}

const script = 'const began = performance.now(); await import(process.argv[1]); console.log(performance.now() - began)'
const times = new Map([...modules.keys()].map((name) => [name, [] as number[]]))
for (let round = 0; round < rounds; round += 1) {
  for (const [name, file] of modules) {
    const took = execFileSync(process.execPath, ['--input-type=module', '-e', script, pathToFileURL(file).href], { encoding: 'utf8' })
    times.get(name)!.push(Number(took))
  }
}
rmSync(folder, { recursive: true })

const quantile = (sorted: readonly number[], part: number): number => sorted[Math.floor((sorted.length - 1) * part)]!
const empty = quantile(times.get('empty')!.toSorted((a, b) => a - b), 0.5)
console.log(`cold import, ${rounds} rounds, Node ${process.versions.node}`)
for (const [name, unsorted] of times) {
  const sorted = unsorted.toSorted((a, b) => a - b)
  const size = sizes.get(name)
  const median = quantile(sorted, 0.5)
  console.log(
    `${name.padEnd(15)} median ${median.toFixed(1).padStart(6)} ms   p25 ${quantile(sorted, 0.25).toFixed(1).padStart(6)}   p75 ${quantile(sorted, 0.75).toFixed(1).padStart(6)}` +
      (size === undefined ? '' : `   ${(median / empty).toFixed(0).padStart(4)} x empty   ${Math.ceil(size / 1000)} kB deflated`),
  )
}
