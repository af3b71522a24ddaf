// Canonical msgpack: one spelling for one value (docs/reference/wire-format.md, "Canonical values").
//
// Whole numbers are numbers where JavaScript counts exactly, and BigInts beyond; bytes are Uint8Arrays, lists are
// arrays, maps are Maps: an object would give a key like __proto__ a meaning.

const MAX_DEPTH = 16
const BIG_INTEGER = 1
const MAX_INTEGER_BYTES = 64
const FIXEXT = new Map([[1, 0xd4], [2, 0xd5], [4, 0xd6], [8, 0xd7], [16, 0xd8]])

/** The bytes are not the canonical spelling of any value. */
export class NotCanonical extends Error {}

/** The one byte string of a value. */
export function encode (value) {
  return Buffer.concat(spell(value, MAX_DEPTH))
}

/** The value of canonical bytes, of which there are at most `limit`. */
export function decode (raw, limit) {
  if (raw.length > limit) throw new NotCanonical(`${raw.length} bytes, at most ${limit} are taken`)
  const reader = new Reader(raw)
  const value = reader.value(MAX_DEPTH)
  // A value has one spelling: what is longer than needed, in another order or said twice is not what we would write.
  if (reader.left > 0 || !encode(value).equals(raw)) throw new NotCanonical('not the canonical spelling')
  return value
}

function spell (value, depth) {
  if (value === null) return [Buffer.of(0xc0)]
  if (typeof value === 'boolean') return [Buffer.of(value ? 0xc3 : 0xc2)]
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return spellInteger(BigInt(value))
  if (typeof value === 'string') {
    const raw = Buffer.from(value, 'utf8')
    return [head(raw.length, [0xa0, 31], [0xd9, 0xda, 0xdb]), raw]
  }
  if (value instanceof Uint8Array) return [head(value.length, null, [0xc4, 0xc5, 0xc6]), value]
  if (depth === 0) throw new NotCanonical(`nested deeper than ${MAX_DEPTH}`)
  if (Array.isArray(value)) {
    return [head(value.length, [0x90, 15], [null, 0xdc, 0xdd]), ...value.flatMap(item => spell(item, depth - 1))]
  }
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]) => [Buffer.from(key, 'utf8'), key, item])
    entries.sort((one, other) => Buffer.compare(one[0], other[0]))
    const spelled = entries.flatMap(([, key, item]) => [...spell(key, 0), ...spell(item, depth - 1)])
    return [head(value.size, [0x80, 15], [null, 0xde, 0xdf]), ...spelled]
  }
  throw new NotCanonical(`${typeof value} has no canonical form`)
}

/** The shortest header for a length: `fix` holds one up to its second number, then come those of 8, 16 and 32 bits. */
function head (length, fix, [tag8, tag16, tag32]) {
  if (fix !== null && length <= fix[1]) return Buffer.of(fix[0] | length)
  if (tag8 !== null && length < 0x100) return Buffer.of(tag8, length)
  const raw = Buffer.alloc(length < 0x10000 ? 3 : 5)
  raw[0] = length < 0x10000 ? tag16 : tag32
  raw.writeUIntBE(length, 1, raw.length - 1)
  return raw
}

function spellInteger (value) {
  if (value >= 0n) {
    if (value < 0x80n) return [Buffer.of(Number(value))]
    for (const [tag, bytes] of [[0xcc, 1], [0xcd, 2], [0xce, 4], [0xcf, 8]]) {
      if (value < 1n << BigInt(8 * bytes)) return [Buffer.of(tag), twos(value, bytes)]
    }
  } else {
    if (value >= -32n) return [Buffer.of(Number(value) & 0xff)]
    for (const [tag, bytes] of [[0xd0, 1], [0xd1, 2], [0xd2, 4], [0xd3, 8]]) {
      if (value >= -(1n << BigInt(8 * bytes - 1))) return [Buffer.of(tag), twos(value, bytes)]
    }
  }
  let bytes = 9
  while (BigInt.asIntN(8 * bytes, value) !== value) bytes += 1
  if (bytes > MAX_INTEGER_BYTES) throw new NotCanonical(`a number of ${bytes} bytes`)
  const tag = FIXEXT.get(bytes)
  return [tag === undefined ? Buffer.of(0xc7, bytes, BIG_INTEGER) : Buffer.of(tag, BIG_INTEGER), twos(value, bytes)]
}

function twos (value, bytes) {
  return Buffer.from(BigInt.asUintN(8 * bytes, value).toString(16).padStart(2 * bytes, '0'), 'hex')
}

/** Reads any spelling of the values that have a canonical one, and never beyond the bytes that are there. */
class Reader {
  constructor (raw) {
    this.raw = Buffer.from(raw.buffer, raw.byteOffset, raw.length)
    this.at = 0
  }

  get left () {
    return this.raw.length - this.at
  }

  take (count) {
    if (count > this.left) throw new NotCanonical('the bytes end within a value')
    this.at += count
    return this.raw.subarray(this.at - count, this.at)
  }

  number (bytes) {
    return this.take(bytes).readUIntBE(0, bytes)
  }

  integer (bytes, signed) {
    const value = BigInt('0x' + this.take(bytes).toString('hex'))
    return narrow(signed ? BigInt.asIntN(8 * bytes, value) : value)
  }

  text (length) {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.take(length))
    } catch (error) {
      throw new NotCanonical(`text that is not UTF-8: ${error.message}`)
    }
  }

  list (length, depth) {
    if (depth === 0) throw new NotCanonical(`nested deeper than ${MAX_DEPTH}`)
    if (length > this.left) throw new NotCanonical('the bytes end within a list')
    return Array.from({ length }, () => this.value(depth - 1))
  }

  map (length, depth) {
    if (depth === 0) throw new NotCanonical(`nested deeper than ${MAX_DEPTH}`)
    const entries = new Map()
    for (let count = 0; count < length; count += 1) {
      const key = this.value(0)
      if (typeof key !== 'string') throw new NotCanonical('a key that is not text')
      entries.set(key, this.value(depth - 1))
    }
    return entries
  }

  bigInteger (bytes) {
    if (this.number(1) !== BIG_INTEGER) throw new NotCanonical('an extension type that is not 1')
    if (bytes === 0 || bytes > MAX_INTEGER_BYTES) throw new NotCanonical(`a number of ${bytes} bytes`)
    return this.integer(bytes, true)
  }

  value (depth) {
    const tag = this.number(1)
    if (tag < 0x80) return tag
    if (tag >= 0xe0) return tag - 0x100
    if (tag < 0x90) return this.map(tag & 0x0f, depth)
    if (tag < 0xa0) return this.list(tag & 0x0f, depth)
    if (tag < 0xc0) return this.text(tag & 0x1f)
    switch (tag) {
      case 0xc0: return null
      case 0xc2: return false
      case 0xc3: return true
      case 0xc4: case 0xc5: case 0xc6: return Buffer.from(this.take(this.number(1 << (tag - 0xc4))))
      case 0xc7: return this.bigInteger(this.number(1))
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return this.integer(1 << (tag - 0xcc), false)
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return this.integer(1 << (tag - 0xd0), true)
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return this.bigInteger(1 << (tag - 0xd4))
      case 0xd9: case 0xda: case 0xdb: return this.text(this.number(1 << (tag - 0xd9)))
      case 0xdc: case 0xdd: return this.list(this.number(2 << (tag - 0xdc)), depth)
      case 0xde: case 0xdf: return this.map(this.number(2 << (tag - 0xde)), depth)
      default: throw new NotCanonical(`0x${tag.toString(16)} begins no value that has a canonical form`)
    }
  }
}

function narrow (value) {
  const exact = value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)
  return exact ? Number(value) : value
}
