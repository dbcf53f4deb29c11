import { InvalidArgumentError } from 'commander'
import { nearest } from '../lib/model/nearest.ts'

/** One of some words, in any letter case, or wrong usage. */
export function choice<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((one) => one === text.toLowerCase())
    if (word !== undefined) return word
    const meant = nearest(text, words)
    throw new InvalidArgumentError(`It must be one of ${words.join(', ')}.${meant === undefined ? '' : ` Did you mean "${meant}"?`}`)
  }
}
