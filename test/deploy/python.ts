import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const requirements = join(import.meta.dirname, 'requirements.txt')

/**
 * Installs the programs of requirements.txt into an environment of their own, below the user's cache folder, unless they are there.
 * It takes half a minute, and needs Python 3.9 or later with its module venv.
 *
 * @returns the directory that holds the programs.
 */
export async function installPython(): Promise<string> {
  const version = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const directory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'scheduled-images', `python-${version}`)
  const programs = join(directory, 'bin')
  const complete = join(directory, 'complete')
  if (existsSync(complete)) return programs
  // What an installation that broke off left behind.
  rmSync(directory, { recursive: true, force: true })
  await run('python3', ['-m', 'venv', directory])
  await run(join(programs, 'python'), ['-m', 'pip', 'install', '--quiet', '--requirement', requirements])
  writeFileSync(complete, '')
  return programs
}
