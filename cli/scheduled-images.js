#!/usr/bin/env node
// The command runs on Node 24, which npm installs beside it where it can: an older one is exchanged for that.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const [major] = process.versions.node.split('.').map(Number)
const own = fileURLToPath(new URL(`../node_modules/.bin/node${process.platform === 'win32' ? '.cmd' : ''}`, import.meta.url))

if (major >= 24) {
  const { run } = await import('./main.ts')
  await run()
} else if (process.env.SCHEDULED_IMAGES_NODE === undefined && existsSync(own)) {
  // Ctrl-C reaches both: this one waits for what the other makes of it.
  process.on('SIGINT', () => {})
  const { status, signal } = spawnSync(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit', env: { ...process.env, SCHEDULED_IMAGES_NODE: own }, shell: process.platform === 'win32',
  })
  process.exitCode = status ?? (signal === 'SIGINT' ? 130 : 1)
} else {
  process.stderr.write(`ERROR (NodeVersion): scheduled-images needs Node 24 or later, and this is ${process.version}. Run npm ci in its folder, or install Node 24.\n`)
  process.exitCode = 1
}
