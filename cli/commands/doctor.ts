import { styleText } from 'node:util'
import type { Command } from 'commander'
import { diagnose, type Finding } from '../../lib/planner/doctor.ts'
import { examine } from '../../lib/runner/doctor.ts'
import type { Context } from '../context.ts'
import { ExitCode, exitCodes, explain } from '../failure.ts'

const labels = { ok: 'OK', warning: 'WARNING', problem: 'PROBLEM' } as const
const colours = { ok: 'green', warning: 'yellow', problem: 'red' } as const

export function registerDoctor(program: Command, context: () => Context): void {
  program
    .command('doctor')
    .summary('look whether a cloud is as the service needs it')
    .description('Looks at the credentials of a cloud (--cloud), what they may do, the quotas and how long they last at the rate of the schedules, and the guests. Nothing is changed.')
    .addHelpText('after', `
Exit status: 1 when there is a problem; warnings alone are 0.

Examples:
  scheduled-images doctor
  scheduled-images --stage prod --cloud berlin doctor -o json`)
    .action(() => doctor(context()))
}

async function doctor(context: Context): Promise<void> {
  const { terminal, clock, options: { cloud } } = context
  const { ports, keeper } = context.open()
  terminal.progress(`Looking at cloud ${cloud} ...`)
  const facts = await examine(cloud, {
    schedules: ports.schedules,
    runs: ports.runs,
    open: (name) => keeper.open(name, context.timeLeftMs),
    explain: (error) => explain(error).message,
    clock,
  })
  terminal.progress(undefined)
  const findings = diagnose(facts)
  const tally = (level: Finding['level']): number => findings.filter((finding) => finding.level === level).length
  const summary = { ok: tally('ok'), warnings: tally('warning'), problems: tally('problem') }
  context.show({ cloud, ...summary, findings }, () => [...findings.map((finding) => line(finding, terminal.colours)), '', `Cloud ${cloud}: ${sentence(summary)}.`].join('\n'))
  if (summary.problems > 0) throw new ExitCode(exitCodes.failed)
}

/** The fix is on a line of its own. */
function line({ check, level, sentence, fix }: Finding, colourful: boolean): string {
  const label = labels[level].padEnd(7)
  return `${colourful ? styleText(colours[level], label, { validateStream: false }) : label}  ${check.padEnd(13)} ${sentence}${fix === undefined ? '' : `\n${' '.repeat(23)}-> ${fix}`}`
}

function sentence({ ok, warnings, problems }: { ok: number; warnings: number; problems: number }): string {
  const some = (amount: number, noun: string): string => `${amount} ${noun}${amount === 1 ? '' : 's'}`
  return `${some(problems, 'problem')}, ${some(warnings, 'warning')}, ${ok} as it should be`
}
