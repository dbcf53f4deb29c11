import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

/** The mails of iac/notices.yml, as EventBridge makes them of events. */

interface Rule {
  readonly Type: string
  readonly Properties: {
    readonly EventPattern: { readonly 'detail-type': readonly string[]; readonly detail?: { readonly server: { readonly name: readonly { readonly exists: boolean }[] } } }
    readonly Targets: readonly { readonly InputTransformer: { readonly InputPathsMap: Readonly<Record<string, string>>; readonly InputTemplate: string } }[]
  }
}

interface Detail {
  readonly server?: { readonly id: string; readonly name?: string }
  readonly [field: string]: unknown
}

const template = parse(readFileSync(new URL('../iac/notices.yml', import.meta.url), 'utf8'), { logLevel: 'error' }) as { Resources: Record<string, Rule> }
const rules = Object.values(template.Resources).filter(({ Type }) => Type === 'AWS::Events::Rule')

function matches({ Properties: { EventPattern } }: Rule, type: string, { server }: Detail): boolean {
  return EventPattern['detail-type'].includes(type) && (EventPattern.detail?.server.name.every(({ exists }) => exists === (server?.name !== undefined)) ?? true)
}

/** A template of text: each line is a quoted one, in which `<name>` stands for what its path leads to. */
function transform({ Properties: { Targets } }: Rule, detail: Detail): string[] {
  const { InputPathsMap, InputTemplate } = Targets[0]!.InputTransformer
  const valueAt = (path: string) => path.split('.').slice(2).reduce<unknown>((value, field) => (value as Record<string, unknown> | undefined)?.[field], detail)
  return InputTemplate.trim().split('\n').map((line) => {
    expect(line).toMatch(/^"[^"]+"$/)
    return line.slice(1, -1).replaceAll('${sls:stage}', 'prod').replaceAll(/<(\w+)>/g, (_, name: string) => {
      const value = valueAt(InputPathsMap[name]!)
      // EventBridge leaves a gap.
      expect(value, `${name} of ${JSON.stringify(detail)}`).toBeDefined()
      return String(value)
    })
  })
}

const run = { version: 1, cloud: 'default', schedule: 'daily/cache-1', period: '2026-11-18', attempt: 3, server: { id: '8cabb604-c162-4752-aa18-580a8ebbd08c', name: 'cache-1' } }

test.each<[type: string, detail: Detail, mail: string[]]>([
  ['Scheduled Image Failed', { ...run, reason: { code: 'IMAGE_GONE', message: 'Image b5f2ad3f is gone.' } }, [
    'Scheduled Images prod: an image of server cache-1 failed.',
    'Image b5f2ad3f is gone.',
    'Schedule daily/cache-1, cloud default, period 2026-11-18, server 8cabb604-c162-4752-aa18-580a8ebbd08c, code IMAGE_GONE.',
    'It is tried again until the period is over. What to do about each code: docs/logs.md#codes.',
  ]],
  ['Scheduled Image Failed', { version: 1, cloud: 'default', schedule: 'daily/nobody', reason: { code: 'SERVER_NOT_FOUND', message: 'No server is named "nobody" in the project of cloud "default".' } }, [
    'Scheduled Images prod: schedule daily/nobody makes no image at the moment.',
    'No server is named "nobody" in the project of cloud "default".',
    'Cloud default, code SERVER_NOT_FOUND. What to do about each code: docs/logs.md#codes.',
  ]],
  ['Scheduled Image Missed', { ...run, reason: { code: 'SERVER_STATE', message: 'Server "cache-1" is in state ERROR.' } }, [
    'Scheduled Images prod: there is no good image of server cache-1 for the period 2026-11-18.',
    'Server "cache-1" is in state ERROR.',
    'Schedule daily/cache-1, cloud default, server 8cabb604-c162-4752-aa18-580a8ebbd08c, code SERVER_STATE.',
    'That period is over. The next one is tried as usual. What to do about each code: docs/logs.md#codes.',
  ]],
  ['Scheduled Images Refused', { version: 1, cloud: 'default', reason: { code: 'PLAN_REFUSED', message: 'The plan would delete the only good image.' } }, [
    'Scheduled Images prod: a plan to delete images of cloud default was refused, and nothing of it was done.',
    'The plan would delete the only good image.',
    "Code PLAN_REFUSED. This is a fault of Scheduled Images: report it, with the lines of the prune function's log. Images are made as usual.",
  ]],
  ['Schedule Invalid', { version: 1, cloud: 'default', schedule: 'daily/typo', reason: { code: 'SCHEDULE_INVALID', message: 'retention is required.' } }, [
    'Scheduled Images prod: schedule daily/typo cannot be used, and makes no image until it is corrected.',
    'retention is required.',
    'Cloud default, code SCHEDULE_INVALID. What a schedule can say: docs/schedules.md.',
  ]],
])('%s: one mail, in sentences', (type, detail, mail) => {
  expect(rules.filter((rule) => matches(rule, type, detail)).map((rule) => transform(rule, detail))).toEqual([mail])
})

test.each([['Scheduled Image Started'], ['Scheduled Image Good'], ['Scheduled Images Pruned']])('%s: no mail', (type) => {
  expect(rules.filter((rule) => matches(rule, type, run))).toEqual([])
})
