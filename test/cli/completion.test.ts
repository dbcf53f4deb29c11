import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { main } from '../../cli/main.ts'

const has = (shell: string) => spawnSync(shell, ['--version']).status === 0
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'completion-'))
  mkdirSync(join(folder, 'data dir'))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function run(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: string[][] = [[], []]
  const terminal = {
    print: (text: string) => void out!.push(text), note: (text: string) => void err!.push(text), progress: () => {},
    confirm: () => Promise.resolve(false), columns: undefined, colours: false, interrupted: new AbortController().signal,
  }
  const code = await main(args, terminal, { env: {}, clock: () => new Date() })
  return { code, out: out!.join('\n'), err: err!.join('\n') }
}

/** What a real bash offers after these words; the last one is being typed. */
async function offered(...words: string[]): Promise<string[]> {
  const { out } = await run(['completion', 'bash'])
  const script = `${out}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _scheduled_images; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script, 'bash', 'scheduled-images', ...words], { cwd: folder, encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout.split('\n').filter(Boolean)
}

test.skipIf(!has('bash'))('bash offers every command that help shows', async () => {
  const { out } = await run(['--help'])
  const shown = [...out.split('\nExamples:')[0]!.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name]) => name!)
  expect(shown.length).toBeGreaterThan(5)
  expect(await offered('')).toEqual(shown)
})

test.skipIf(!has('bash')).each<[typed: string[], offers: string[]]>([
  [['sna'], ['snapshot']],
  [['snapshot', '--w'], ['--wait']],
  [['--local', 'x', 'snapshot', '--w'], ['--wait']],
  [['--local=x', '-o', 'json', 'snapshot', '--w'], ['--wait']],
  [['--output', '=', 'json', 'snapshot', '--w'], ['--wait']],
  [['snapshot', '--output', ''], ['table', 'json']],
  [['-o', 'j'], ['json']],
  [['--output', '='], ['table', 'json']],
  [['--output', '=', 'j'], ['json']],
  [['--local', 'da'], ['data dir']],
  [['snapshot', '--type', ''], []],
  [['snapshot', '--type', 'show', '--rot'], ['--rotation']],
  [['apt-hook', ''], ['install', 'remove', 'run', 'help']],
  [['apt-hook', 'install', '--r'], ['--rotation', '--required', '--root']],
  [['apt-hook', 'install', '--sta'], ['--stage']],
  [['completion', ''], ['bash', 'zsh']],
  [['completion', 'bash', ''], []],
  [['snapshot', 'apt-hook', '--req'], []],
])('after %j bash offers %j', async (typed, offers) => {
  expect(await offered(...typed)).toEqual(offers)
})

// It is on few machines.
test.skipIf(!has('zsh'))('zsh finds no fault with its script', async () => {
  const { out } = await run(['completion', 'zsh'])
  expect(spawnSync('zsh', ['-f', '-n'], { input: out, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
})

test('the scripts say how they are used, and another shell is wrong usage', async () => {
  expect((await run(['completion', 'zsh'])).out).toMatch(/^#compdef scheduled-images\n/)
  expect(await run(['completion', 'fish'])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Allowed choices are bash, zsh') })
})
