import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { unzipSync } from 'fflate'

const root = join(import.meta.dirname, '../..')

/** Makes the zips that are deployed, in `.serverless/`, without any credentials. */
export async function makePackages(): Promise<void> {
  const serverless = join(root, 'node_modules/serverless/bin/serverless.js')
  await promisify(execFile)(process.execPath, [serverless, 'package'], { cwd: root, env: { ...process.env, AWS_ACCESS_KEY_ID: '', AWS_PROFILE: '' } })
}

/** What is in one function's zip, by path. */
export function filesOf(name: string): Record<string, Uint8Array> {
  return unzipSync(readFileSync(join(root, '.serverless', `${name}.zip`)))
}

/** Unpacks each function's zip into a directory of its own, by its name. @returns the directory that holds them. */
export function unpack(names: readonly string[]): string {
  const unpacked = mkdtempSync(join(tmpdir(), 'artefact-'))
  for (const name of names) {
    for (const [path, bytes] of Object.entries(filesOf(name))) {
      mkdirSync(dirname(join(unpacked, name, path)), { recursive: true })
      writeFileSync(join(unpacked, name, path), bytes)
    }
  }
  return unpacked
}
