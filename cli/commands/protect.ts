import type { Command } from 'commander'
import { createdBy, marks } from '../../lib/model/image.ts'
import type { Context } from '../context.ts'
import { findImage } from '../image.ts'

/** `protect` and `unprotect`. */
export function registerProtect(program: Command, context: () => Context): void {
  program
    .command('protect')
    .summary('keep an image for ever')
    .description('Protects an image: neither retention nor anybody else can delete it, and it is not counted. Glance shows it as protected.')
    .argument('<image>', 'name or UUID')
    .addHelpText('after', `
Examples:
  scheduled-images protect Daily-web-1-1795222800`)
    .action((image: string) => protect(image, true, context()))
  program
    .command('unprotect')
    .summary('give an image back to its schedule')
    .description('Takes the protection away: a scheduled image counts in the retention of its schedule again, and is deleted when that no longer keeps it.')
    .argument('<image>', 'name or UUID')
    .addHelpText('after', `
Examples:
  scheduled-images unprotect Daily-web-1-1795222800`)
    .action((image: string) => protect(image, false, context()))
}

async function protect(given: string, isProtected: boolean, context: Context): Promise<void> {
  const { ports } = context.open()
  const cloud = await context.enter(ports)
  const image = await findImage(given, cloud)
  const sealed = image.properties[marks.seal] === image.id
  await cloud.image.setProtected(image.id, isProtected)
  // Who kept it by the habit of the old service took this away.
  const unmarked = !isProtected && sealed && image.properties[marks.createdBy] !== createdBy
  if (unmarked) await cloud.image.addMarks(image, { [marks.createdBy]: createdBy }, [])
  const consequence = isProtected ? 'is kept until it is unprotected' : sealed ? `counts in the retention of ${image.properties[marks.schedule]} again` : 'is no longer protected'
  context.show({ id: image.id, name: image.name, protected: isProtected }, () => `${image.name} (${image.id}) ${consequence}.`)
}
