// A peer of a p2pfd mesh: it joins a task's topic, hears and says messages, fetches and serves blobs.
//
//   node peer.mjs
//
// It is told what to do by lines of JSON on its standard input, answers each with one on its standard output, and tells
// there what it hears. The first line says who it is: {"task": the task's id, "peer_key": …, "account_key": …}, each of
// 64 hexadecimal digits. It ends when its input does.

import './polyfill.mjs'
import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { Blobs } from './blobs.mjs'
import { Refused, accountOfKey, hello, open, seal } from './envelope.mjs'
import { commitment, pack } from './labels.mjs'
import { ask, serve } from './requests.mjs'

const MAX_RPC = 1024 * 1024
const REMEMBERED = 4096
const TRIES = 100
const PAUSE = 100 // milliseconds
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const who = JSON.parse((await input.next()).value)
const [task, peerKey, accountKey] = [who.task, who.peer_key, who.account_key].map(word => Buffer.from(word, 'hex'))
const topic = `/p2pfd/2/${task.toString('hex').slice(0, 32)}`

const privateKey = await generateKeyPairFromSeed('Ed25519', peerKey)
const node = await createLibp2p({
  privateKey,
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    pubsub: gossipsub({ globalSignaturePolicy: 'StrictSign', maxInboundDataLength: MAX_RPC })
  }
})
const me = node.peerId.toString()
const pubsub = node.services.pubsub
const blobs = new Blobs(node)
const accounts = new Map() // what hellos have said, by peer
const commitments = new Map() // by peer and round
const secrets = new Map() // our salt and labels, by round
let seq = BigInt(Date.now()) * 1000n // higher than in any former life of this key

// --- Hearing ---------------------------------------------------------------------------------------------------------

/** What a message says, beyond what its envelope proves. */
function understand (author, message) {
  const said = `${author} ${message.round}`
  if (message.kind === 'hello' && first(accounts, author, message.account) !== message.account) {
    throw new Refused('ignore', 'this peer is bound to another account')
  }
  if (message.kind === 'commit' && !first(commitments, said, message.commitment).equals(message.commitment)) {
    throw new Refused('reject', 'a second commitment for one round')
  }
  if (message.kind !== 'reveal') return {}
  const [account, bound] = [accounts.get(author), commitments.get(said)]
  if (account === undefined || bound === undefined) throw new Refused('ignore', 'labels of a stranger')
  if (!commitment(task, message.round, account, message.salt, message.labels).equals(bound)) {
    throw new Refused('reject', 'labels that are not those committed to')
  }
  return { opens: true }
}

/** The first value that was said under a name; the oldest names are forgotten when strangers say too many. */
function first (known, name, value) {
  if (!known.has(name)) {
    if (known.size >= REMEMBERED) known.delete(known.keys().next().value)
    known.set(name, value)
  }
  return known.get(name)
}

/** The verdict decides whether a message is passed on, and whether it is held against whoever handed it over. */
async function judge (via, heard) {
  try {
    const { message, seq } = await open(heard.data, task, heard.from.toString())
    const more = understand(heard.from.toString(), message)
    tell({ event: 'heard', from: heard.from, via, verdict: 'accept', seq: String(seq), message, ...more })
    return 'accept'
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    tell({ event: 'heard', from: heard.from, via, verdict: error.verdict, why: error.message })
    return error.verdict
  }
}

// --- Being told ------------------------------------------------------------------------------------------------------

async function say (message) {
  seq += 1n
  return await publish(await seal(message, task, seq, me, privateKey))
}

/** Nobody may take it at first: the streams to newcomers are opened after their subscriptions are heard. */
async function publish (raw) {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const sent = await pubsub.publish(topic, raw, { allowPublishToZeroTopicPeers: true })
    if (sent.recipients.length > 0) return { to: sent.recipients.length }
    await setTimeout(PAUSE)
  }
  throw new Error('there is nobody to say it to')
}

const todo = {
  dial: async ({ address }) => ({ peer: (await node.dial(multiaddr(address))).remotePeer }),
  ping: async ({ peer }) => ({ milliseconds: await node.services.ping.ping(peerIdFromString(peer)) }),
  hello: async () => await say(await hello(task, me, privateKey, accountKey)),
  commit: async ({ round, labels }) => {
    const secret = { salt: randomBytes(32), labels: pack(labels) }
    secrets.set(round, secret)
    const bound = commitment(task, round, accountOfKey(accountKey), secret.salt, secret.labels)
    return await say({ kind: 'commit', round, commitment: bound, student: new Uint8Array() })
  },
  reveal: async ({ round }) => await say({ kind: 'reveal', round, ...secrets.get(round) }),
  publish: async ({ raw }) => await publish(Buffer.from(raw, 'hex')),
  put: async ({ file }) => ({ blob: blobs.put(await readFile(file)) }),
  get: async ({ peer, blob, limit, file }) => {
    const got = await blobs.get(peerIdFromString(peer), Buffer.from(blob, 'hex'), limit)
    await writeFile(file, got)
    return { bytes: got.length, sha256: createHash('sha256').update(got).digest() }
  },
  ask: async ({ peer, name, raw, limit }) => ({
    answer: await ask(node, peerIdFromString(peer), name, Buffer.from(raw, 'hex'), limit)
  }),
  serve: async ({ name, limit }) => await serve(node, name, limit, raw => raw.reverse()), // for want of a better answer
  // Many envelopes at once, as if each came from the author that it names: for comparing verdicts.
  judge: async ({ author, envelopes }) => ({
    verdicts: await Promise.all(envelopes.map(async raw => {
      try {
        await open(Buffer.from(raw, 'hex'), task, author)
        return 'accept'
      } catch (error) {
        if (error instanceof Refused) return error.verdict
        throw error
      }
    }))
  })
}

/** One line of JSON; bytes in hexadecimal digits, peers as text. */
function tell (value) {
  process.stdout.write(JSON.stringify(textual(value)) + '\n')
}

function textual (value) {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (typeof value?.toMultihash === 'function') return value.toString()
  if (Array.isArray(value)) return value.map(textual)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, textual(item)]))
}

await blobs.serve()
pubsub.topicValidators.set(topic, judge)
pubsub.addEventListener('subscription-change', ({ detail }) => {
  for (const change of detail.subscriptions) {
    if (change.topic === topic) tell({ event: change.subscribe ? 'joined' : 'left', peer: detail.peerId })
  }
})
pubsub.subscribe(topic)
tell({ event: 'up', peer: me, addresses: node.getMultiaddrs().map(String) })

for await (const line of input) {
  const { id, do: what, ...rest } = JSON.parse(line)
  todo[what](rest).then(
    answer => tell({ event: 'done', id, ...answer }),
    error => tell({ event: 'failed', id, why: error.message })
  )
}
await node.stop()
process.exit() // connections that are closed keep timers for a second
