import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDocument, type Tags } from 'yaml'
import { ScheduledImagesError } from '../model/errors.ts'

/** What credentials are found by: arguments, so that a test needs no files. */
export interface ClientEdges {
  readonly env: Readonly<Record<string, string | undefined>>
  /** @returns undefined for a file that does not exist, or that may not be read. */
  readonly readFile: (path: string) => string | undefined
  /** The home directory. */
  readonly home: string
  /** The working directory. */
  readonly cwd: string
}

export type Mapping = Readonly<Record<string, unknown>>

/** A file that was found, as a mapping whose keys are written with `_`. */
export interface ClientFile {
  readonly path: string
  readonly content: Mapping
}

const suffixes = ['.yaml', '.yml', '.json']
const unreadable = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR'])

/** {@link ClientEdges.readFile} on the disk. */
export function readClientFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (unreadable.has((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** Where python-openstackclient looks for `clouds`, `secure` or `clouds-public`, in its order; the first that exists counts alone. */
export function searchPath(name: string, override: string | undefined, { env, home, cwd }: ClientEdges): string[] {
  const folders = [cwd, join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'openstack'), join(home, '.config/openstack')]
  const site = (env['XDG_CONFIG_DIRS'] || '/etc/xdg').split(':').map((folder) => join(folder, 'openstack'))
  const files = [...new Set([...folders, ...site, '/etc/openstack'])].flatMap((folder) => suffixes.map((suffix) => join(folder, name + suffix)))
  return override ? [inFolder(override, cwd), ...files] : files
}

/** @throws ScheduledImagesError `CREDENTIALS_INVALID`, which names the file and shows nothing of it. */
export function firstFile(paths: readonly string[], { readFile }: ClientEdges): ClientFile | undefined {
  for (const path of paths) {
    const text = readFile(path)
    if (text !== undefined) return { path, content: parseFile(path, text) }
  }
  return undefined
}

export function inFolder(path: string, folder: string): string {
  return path.startsWith('/') ? path : join(folder, path)
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseFile(path: string, text: string): Mapping {
  // Python reads YAML 1.1, with its merge keys and its yes and no. A number keeps its digits: it may be a password.
  const document = parseDocument(text, { version: '1.1', intAsBigInt: true, logLevel: 'silent', customTags: (tags) => tags.map(asPython) })
  const [error] = document.errors
  if (error) {
    // The parser's own message quotes the text, and so may quote a secret.
    const line = error.linePos?.[0].line
    throw new ScheduledImagesError('CREDENTIALS_INVALID', `${path} is not YAML${line === undefined ? '' : `: see its line ${line}`}.`)
  }
  const content: unknown = document.toJS()
  if (content === null || content === undefined) return {}
  if (!isMapping(content)) throw new ScheduledImagesError('CREDENTIALS_INVALID', `${path} must be a mapping, with the clouds by their names below "clouds".`)
  return content
}

/** To Python `n` is no boolean and `12e3`, which may be an id, is no number. */
function asPython(tag: Tags[number]): Tags[number] {
  if (typeof tag === 'string' || !('test' in tag) || !tag.test) return tag
  const condition = { 'tag:yaml.org,2002:bool': '(?!.$)', 'tag:yaml.org,2002:float': String.raw`(?=.*\.)` }[tag.tag]
  return condition === undefined ? tag : { ...tag, test: new RegExp(`^${condition}(?:${tag.test.source})`) }
}
