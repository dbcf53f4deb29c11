import { readFileSync, readdirSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'

const folder = new URL('../../docs/events/', import.meta.url)

let validators: ReadonlyMap<string, ValidateFunction> | undefined

/** The schemas of `docs/events/`, by their detail-types, as any JSON Schema validator reads them. */
function validatorsByType(): ReadonlyMap<string, ValidateFunction> {
  if (validators) return validators
  // Each format has its pattern beside it.
  const ajv = new Ajv2020({ allErrors: true, validateFormats: false })
  const schemas = readdirSync(folder).filter((file) => file.endsWith('.schema.json')).map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as { title: string })
  return (validators = new Map(schemas.map((schema) => [schema.title, ajv.compile(schema)])))
}

/** @returns what is wrong with an event by its schema in `docs/events/`; nothing if it is as it should be. */
export function faultsOfEvent({ type, detail }: { readonly type: string; readonly detail: unknown }): string[] {
  const validate = validatorsByType().get(type)
  if (!validate) return [`No schema in docs/events/ has the title "${type}".`]
  if (validate(detail)) return []
  return validate.errors!.map(({ instancePath, message, params }) => `${type}: detail${instancePath} ${message} ${JSON.stringify(params)}`)
}
