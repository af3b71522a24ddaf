// Requests: one question and one answer on a stream of their own (docs/reference/network.md, "Requests").

import { byteStream } from '@libp2p/utils'

const LENGTH_BYTES = 4
const STREAMS = 32
const SECONDS = 10

const protocolOf = name => `/p2pfd/req/${name}/1`

async function write (wire, raw, signal) {
  const head = Buffer.alloc(LENGTH_BYTES)
  head.writeUInt32BE(raw.length)
  await wire.write(Buffer.concat([head, raw]), { signal })
}

async function read (wire, limit, signal) {
  const head = await wire.read({ bytes: LENGTH_BYTES, signal })
  const length = Buffer.from(head.subarray()).readUInt32BE()
  if (length > limit) throw new Error(`the peer sends ${length} bytes, the limit is ${limit}`)
  return Buffer.from((await wire.read({ bytes: length, signal })).subarray())
}

/** What a peer answers to a question, of at most `limit` bytes. */
export async function ask (node, peer, name, raw, limit) {
  const signal = AbortSignal.timeout(1000 * SECONDS)
  const stream = await node.dialProtocol(peer, protocolOf(name), { signal })
  try {
    const wire = byteStream(stream, { maxBufferSize: LENGTH_BYTES + limit })
    await write(wire, raw, signal)
    const answer = await read(wire, limit, signal)
    await stream.close({ signal })
    return answer
  } catch (error) {
    stream.abort(error)
    throw error
  }
}

/** Answer questions of at most `limit` bytes; a stream on which anything goes wrong is reset. */
export async function serve (node, name, limit, answer) {
  await node.handle(protocolOf(name), async stream => {
    const signal = AbortSignal.timeout(1000 * SECONDS)
    try {
      const wire = byteStream(stream, { maxBufferSize: LENGTH_BYTES + limit })
      await write(wire, answer(await read(wire, limit, signal)), signal)
      await stream.close({ signal })
    } catch (error) {
      stream.abort(error)
    }
  }, { maxInboundStreams: STREAMS })
}
