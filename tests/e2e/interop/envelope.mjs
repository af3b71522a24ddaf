// Messages and their signed envelopes (docs/reference/wire-format.md, "Messages", "Envelopes", "Limits", "Hello").

import { peerIdFromString } from '@libp2p/peer-id'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 as keccak256 } from '@noble/hashes/sha3.js'
import { NotCanonical, decode, encode } from './canonical.mjs'

const VERSION = 2
const MAX_ENVELOPE = 4245
const MESSAGE_LIMITS = new Map([['commit', 107], ['hello', 271], ['offer', 68], ['reveal', 4165]])
const MAX_MESSAGE = Math.max(...MESSAGE_LIMITS.values())
const MAX_SEQ = 2n ** 63n - 1n

/** Bytes that are not taken, and what that costs the peer that handed them over: 'reject' or 'ignore'. */
export class Refused extends Error {
  constructor (verdict, why) {
    super(why)
    this.verdict = verdict
  }
}

const bytes = (least, most = least, step = 1) => value =>
  value instanceof Uint8Array && value.length >= least && value.length <= most && value.length % step === 0

const integer = (low, high) => value =>
  (typeof value === 'number' || typeof value === 'bigint') && value >= low && value <= high

const isAccount = value => typeof value === 'string' && /^0x[0-9a-f]{40}$/.test(value)
const isPeer = value => typeof value === 'string' && keyOf(value) !== null

const ROUND = integer(0, 2 ** 32 - 1)
const MESSAGES = new Map([
  ['commit', { commitment: bytes(32), round: ROUND, student: bytes(0, 32, 32) }],
  ['hello', { account: isAccount, by_account: bytes(65), by_peer: bytes(64), peer: isPeer }],
  ['offer', { blob: bytes(32), round: ROUND, size: integer(1, 2 ** 26) }],
  ['reveal', { labels: bytes(32, 4096, 32), round: ROUND, salt: bytes(32) }]
])
const ENVELOPE = { seq: integer(0, MAX_SEQ), body: bytes(1, MAX_MESSAGE), signature: bytes(64) } // in this order

/** The Ed25519 key in a peer id, in its one spelling; null when it holds none. */
function keyOf (text) {
  if (!/^[1-9A-HJ-NP-Za-km-z]{52}$/.test(text)) return null
  try {
    const peer = peerIdFromString(text)
    return peer.type === 'Ed25519' && peer.toString() === text ? peer.publicKey : null
  } catch {
    return null // whatever stands there is no peer id
  }
}

function checkFields (value, checks, what) {
  if (!(value instanceof Map)) throw new Refused('reject', `${what}: the fields are no map`)
  for (const name of value.keys()) {
    if (!Object.hasOwn(checks, name)) throw new Refused('reject', `${what}: unknown field`)
  }
  for (const [name, isValid] of Object.entries(checks)) {
    if (!isValid(value.get(name))) throw new Refused('reject', `${what}: field ${name} is missing or wrong`)
  }
  return Object.fromEntries(value)
}

function canonical (raw, limit, what) {
  try {
    return decode(raw, limit)
  } catch (error) {
    if (error instanceof NotCanonical) throw new Refused('reject', `${what}: ${error.message}`)
    throw error
  }
}

/** Which kind these bytes claim to be, once they are not too many for it; nothing is decoded. */
function kindOf (raw) {
  for (const [kind, limit] of MESSAGE_LIMITS) {
    const front = Buffer.concat([Buffer.of(0x92), encode(kind)])
    if (!Buffer.from(raw.subarray(0, front.length)).equals(front)) continue
    if (raw.length > limit) throw new Refused('reject', `a ${kind} of ${raw.length} bytes`)
    return kind
  }
  throw new Refused('reject', 'no kind of message begins so')
}

function decodeMessage (raw) {
  const kind = kindOf(raw)
  const [, fields] = canonical(raw, MESSAGE_LIMITS.get(kind), kind)
  return { kind, ...checkFields(fields, MESSAGES.get(kind), kind) }
}

function encodeMessage ({ kind, ...fields }) {
  const held = new Map(Object.entries(fields))
  checkFields(held, MESSAGES.get(kind), kind)
  return encode([kind, held])
}

function signedBytes (task, sender, seq, body) {
  return encode(['p2pfd-envelope', VERSION, task, sender, seq, body])
}

/** What to publish on the task's topic. */
export async function seal (message, task, seq, peer, privateKey) {
  const body = encodeMessage(message)
  const signature = await privateKey.sign(signedBytes(task, peer, seq, body))
  return Buffer.concat([Buffer.of(VERSION), encode([seq, body, signature])])
}

/** The message in an envelope of our task that `author` published; Refused at the first thing that is wrong. */
export async function open (raw, task, author) {
  if (raw.length === 0 || raw[0] === 0) throw new Refused('reject', 'no envelope begins so')
  if (raw[0] !== VERSION) throw new Refused('ignore', `version ${raw[0]}`)
  if (raw.length > MAX_ENVELOPE) throw new Refused('reject', `an envelope of ${raw.length} bytes`)
  const parts = canonical(raw.subarray(1), MAX_ENVELOPE, 'envelope')
  const names = Object.keys(ENVELOPE)
  if (!Array.isArray(parts) || parts.length !== names.length) throw new Refused('reject', 'envelope: no list of three')
  const held = checkFields(new Map(names.map((name, place) => [name, parts[place]])), ENVELOPE, 'envelope')
  kindOf(held.body)
  if (!await isSigned(author, signedBytes(task, author, held.seq, held.body), held.signature)) {
    throw new Refused('reject', "the signature is not the author's")
  }
  const message = decodeMessage(held.body)
  if (message.kind === 'hello' && message.peer !== author) throw new Refused('reject', 'a hello about another')
  if (message.kind === 'hello') await checkHello(message, task)
  return { seq: held.seq, message }
}

async function isSigned (peer, signed, signature) {
  try {
    return await keyOf(peer).verify(signed, signature)
  } catch {
    return false // a signature that cannot be read is none
  }
}

const peerStatement = (task, account) => encode(['p2pfd-hello', 1, task, account])

/** The hash that a wallet signs when it is asked to sign the text (EIP-191). */
function accountHash (task, peer) {
  const text = Buffer.from(`p2pfd-hello 1\ntask ${task.toString('hex')}\nmy peer is ${peer}`)
  return keccak256(Buffer.concat([Buffer.from(`\x19Ethereum Signed Message:\n${text.length}`), text]))
}

/** The account of a public key, given as its 65 uncompressed bytes. */
function accountOf (publicKey) {
  return '0x' + Buffer.from(keccak256(publicKey.subarray(1)).subarray(12)).toString('hex')
}

/** The account of a 32-byte private key. */
export function accountOfKey (accountKey) {
  return accountOf(secp256k1.getPublicKey(accountKey, false))
}

/** The hello of a peer and its account in a task. */
export async function hello (task, peer, privateKey, accountKey) {
  const account = accountOfKey(accountKey)
  const recovered = secp256k1.sign(accountHash(task, peer), accountKey, { prehash: false, format: 'recovered' })
  return {
    kind: 'hello',
    peer,
    account,
    by_peer: await privateKey.sign(peerStatement(task, account)),
    by_account: Buffer.concat([recovered.subarray(1), Buffer.of(27 + recovered[0])]) // r, s, v
  }
}

async function checkHello (message, task) {
  if (!await isSigned(message.peer, peerStatement(task, message.account), message.by_peer)) {
    throw new Refused('reject', 'hello: the peer has not signed for the account')
  }
  if (recover(message.by_account, accountHash(task, message.peer)) !== message.account) {
    throw new Refused('reject', 'hello: the account has not signed for the peer')
  }
}

function recover (signature, hash) {
  try {
    const v = signature[64]
    if (v !== 27 && v !== 28) return null
    const form = secp256k1.Signature.fromBytes(signature.subarray(0, 64), 'compact').addRecoveryBit(v - 27)
    return form.hasHighS() ? null : accountOf(form.recoverPublicKey(hash).toBytes(false))
  } catch {
    return null // no point of the curve, or a number out of range
  }
}
