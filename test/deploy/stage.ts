import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Json } from '../contract/harness.ts'

const root = join(import.meta.dirname, '../..')

/** One stage of the service in one account, as its owner handles it: `npx serverless COMMAND --stage STAGE --param …`. */
export class Stage {
  readonly #name: string
  readonly #env: Readonly<Record<string, string>>

  constructor(name: string, env: Readonly<Record<string, string>>) {
    this.#name = name
    this.#env = env
  }

  /** @returns what was printed. Rejects, with the same, when the command fails. */
  async run(command: 'deploy' | 'package' | 'remove', params: Readonly<Record<string, string>> = {}): Promise<string> {
    const args = [command, '--stage', this.#name, ...Object.entries(params).flatMap(([name, value]) => ['--param', `${name}=${value}`])]
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], ...this.#env }
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(root, 'node_modules/serverless/bin/serverless.js'), ...args], { cwd: root, env })
    return stdout + stderr
  }

  /** The template of the last package or deployment, as CloudFormation gets it. */
  template(): Json {
    return JSON.parse(readFileSync(this.templateFile, 'utf8')) as Json
  }

  readonly templateFile: string = join(root, '.serverless/cloudformation-template-update-stack.json')
}
