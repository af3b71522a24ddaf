// Labels: four bits each, 64 to a word, and what binds an account to them (docs/reference/wire-format.md, "Labels").

import { createHash } from 'node:crypto'

const PER_WORD = 64
const WORD_BYTES = 32
const BLANK = 15
const DOMAIN = Buffer.alloc(32)
DOMAIN.write('p2pfd-labels-1', 'ascii')

/** An array of classes, each from 0 to 14, as whole words. */
export function pack (labels) {
  const words = []
  for (let start = 0; start < labels.length; start += PER_WORD) {
    let word = 0n
    for (let place = 0; place < PER_WORD; place += 1) {
      const label = labels[start + place] ?? BLANK
      word |= BigInt(label) << BigInt(4 * place)
    }
    words.push(uint256(word))
  }
  return Buffer.concat(words)
}

/** The classes of so many samples; an error when there are more or fewer words, or one that is no class. */
export function unpack (packed, samples, classes) {
  if (packed.length !== Math.ceil(samples / PER_WORD) * WORD_BYTES) throw new Error(`${packed.length} bytes of labels`)
  const labels = []
  for (let index = 0; index < 2 * packed.length; index += 1) {
    const word = Math.floor(index / PER_WORD)
    const place = index % PER_WORD
    const byte = packed[WORD_BYTES * (word + 1) - 1 - (place >> 1)]
    const label = place % 2 === 0 ? byte & 15 : byte >> 4
    if (index < samples ? label >= classes : label !== BLANK) throw new Error(`label ${label} at place ${index}`)
    if (index < samples) labels.push(label)
  }
  return labels
}

/** What an account is bound to by publishing it before its labels. */
export function commitment (task, round, account, salt, packed) {
  const who = Buffer.concat([Buffer.alloc(12), Buffer.from(account.slice(2), 'hex')])
  const hash = createHash('sha256')
  for (const part of [DOMAIN, task, uint256(BigInt(round)), who, salt, packed]) hash.update(part)
  return hash.digest()
}

function uint256 (value) {
  return Buffer.from(value.toString(16).padStart(2 * WORD_BYTES, '0'), 'hex')
}
