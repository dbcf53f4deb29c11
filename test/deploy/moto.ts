import { spawn } from 'node:child_process'
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

/** An AWS account on loopback: moto's server. */
export interface Moto {
  /** What the SDK and osls need to find it, and nothing else of AWS; osls looks at a stack every 100 ms in place of 5 s. */
  readonly env: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** @param programs - Where `moto_server` is. */
export async function startMoto(programs: string): Promise<Moto> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  // It writes into its working directory.
  const directory = mkdtempSync(join(tmpdir(), 'moto-'))
  const log = openSync(join(directory, 'log'), 'w')
  const server = spawn(join(programs, 'moto_server'), ['--host', '127.0.0.1', '--port', String(port)], { cwd: directory, stdio: ['ignore', log, log] })
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()))
  const close = async () => {
    server.kill()
    await ended
    rmSync(directory, { recursive: true })
  }
  for (let attempt = 1; !(await fetch(url).catch(() => undefined)); attempt += 1) {
    if (attempt > 120 || server.exitCode !== null) {
      await close()
      throw new Error(`moto_server does not answer at ${url}.`)
    }
    await setTimeout(250)
  }
  return {
    env: {
      AWS_ENDPOINT_URL: url,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'a-secret-of-nobody',
      // Neither a person's profiles nor a machine's role.
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_EC2_METADATA_DISABLED: 'true',
      SLS_AWS_MONITORING_FREQUENCY: '100',
    },
    close,
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
