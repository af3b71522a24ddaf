// Blobs: what they are called, how they are fetched piece by piece, and how they are served
// (docs/reference/network.md, "Blobs").

import { createHash } from 'node:crypto'
import { byteStream } from '@libp2p/utils'

const PROTOCOL = '/p2pfd/blob/2'
const PIECE = 1024 * 1024
const HASH_BYTES = 32
const SIZE_BYTES = 8
const QUESTION_BYTES = HASH_BYTES + 4
const MANIFEST = 0xffffffff
const ABSENT = Buffer.alloc(SIZE_BYTES, 0xff)
const MARK = Buffer.alloc(32)
MARK.write('p2pfd-blob-manifest-1', 'ascii')

const AHEAD = 3 // pieces that are asked for before the first of them has come
const BUFFER = (AHEAD + 1) * PIECE // a peer that sends more than it was asked for is cut off
const STREAMS = 32 // one peer may ask on so many at one time
const SECONDS = 60 // for opening a stream, for one piece, and for the next question

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
const inTime = () => AbortSignal.timeout(1000 * SECONDS)
const countOf = size => Math.max(1, Math.ceil(size / PIECE))

function bigEndian (size) {
  const raw = Buffer.alloc(SIZE_BYTES)
  raw.writeBigUInt64BE(BigInt(size))
  return raw
}

/** What a blob of several pieces is called, and one piece that begins like a manifest. */
const rooted = (size, hashes) => sha256(MARK, bigEndian(size), ...hashes)

/** A blob, its pieces' hashes and its name. */
function describe (blob) {
  const hashes = Array.from({ length: countOf(blob.length) }, (_, index) => sha256(pieceOf(blob, index)))
  const plain = hashes.length === 1 && !blob.subarray(0, MARK.length).equals(MARK)
  return { blob, hashes, name: plain ? hashes[0] : rooted(blob.length, hashes) }
}

const pieceOf = (blob, index) => blob.subarray(index * PIECE, (index + 1) * PIECE)

/** The blobs of one node: those it was given, and those it fetched. */
export class Blobs {
  constructor (node) {
    this.node = node
    this.held = new Map()
  }

  /** Answer whoever asks. */
  async serve () {
    await this.node.handle(PROTOCOL, stream => this.answer(stream), { maxInboundStreams: STREAMS })
  }

  /** Offer a blob; its name. */
  put (blob) {
    const described = describe(blob)
    this.held.set(described.name.toString('hex'), described)
    return described.name
  }

  /** Fetch a blob of at most `limit` bytes from one peer, and offer it from then on. */
  async get (peer, name, limit) {
    const stream = await this.node.dialProtocol(peer, PROTOCOL, { signal: inTime() })
    try {
      const blob = await fetch(byteStream(stream, { maxBufferSize: BUFFER }), name, limit)
      await stream.close({ signal: inTime() })
      this.put(blob)
      return blob
    } catch (error) {
      stream.abort(error)
      throw error
    }
  }

  async answer (stream) {
    const wire = byteStream(stream, { maxBufferSize: PIECE })
    try {
      while (true) {
        const first = await wire.read({ signal: inTime() })
        if (first === null) break
        // What came in one go may be several questions, and the last of them not whole.
        const missing = (QUESTION_BYTES - first.length % QUESTION_BYTES) % QUESTION_BYTES
        if (missing > 0) first.append(await wire.read({ bytes: missing, signal: inTime() }))
        const asked = first.subarray()
        for (let at = 0; at < asked.length; at += QUESTION_BYTES) {
          const question = Buffer.from(asked.subarray(at, at + QUESTION_BYTES))
          const name = question.subarray(0, HASH_BYTES).toString('hex')
          await wire.write(this.reply(name, question.readUInt32BE(HASH_BYTES)), { signal: inTime() })
        }
      }
      await stream.close({ signal: inTime() })
    } catch (error) {
      stream.abort(error)
    }
  }

  reply (name, number) {
    const found = this.held.get(name)
    if (number === MANIFEST) {
      if (found === undefined) return ABSENT
      const hashes = found.hashes.length > 1 ? found.hashes : []
      return Buffer.concat([bigEndian(found.blob.length), ...hashes])
    }
    if (found === undefined || number >= found.hashes.length) return Buffer.of(0)
    return Buffer.concat([Buffer.of(1), pieceOf(found.blob, number)])
  }
}

async function fetch (wire, name, limit) {
  const take = async count => Buffer.from((await wire.read({ bytes: count, signal: inTime() })).subarray())
  const ask = async number => {
    const question = Buffer.concat([name, Buffer.alloc(4)])
    question.writeUInt32BE(number, HASH_BYTES)
    await wire.write(question, { signal: inTime() })
  }

  await ask(MANIFEST)
  const head = await take(SIZE_BYTES)
  if (head.equals(ABSENT)) throw new Error('the peer does not have the blob')
  const said = head.readBigUInt64BE()
  if (said > BigInt(limit)) throw new Error(`the peer offers ${said} bytes, the limit is ${limit}`)
  const size = Number(said)
  const count = countOf(size)
  const hashes = []
  if (count > 1) {
    const raw = await take(HASH_BYTES * count)
    for (let at = 0; at < raw.length; at += HASH_BYTES) hashes.push(raw.subarray(at, at + HASH_BYTES))
    if (!rooted(size, hashes).equals(name)) throw new Error('the manifest is not that of the blob')
  }

  const pieces = []
  for (let asked = 0; pieces.length < count;) {
    while (asked < count && asked < pieces.length + AHEAD) await ask(asked++)
    if ((await take(1))[0] !== 1) throw new Error('the peer has the blob no longer')
    const index = pieces.length
    const piece = await take(Math.min(PIECE, size - index * PIECE))
    const right = count > 1 ? sha256(piece).equals(hashes[index]) : describe(piece).name.equals(name)
    if (!right) throw new Error(`piece ${index} is not that of the blob`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
