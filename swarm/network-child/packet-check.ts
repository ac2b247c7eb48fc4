// What a DHT datagram must look like before the library sees it. The library trusts types and lengths, and a single packet with an
// integer where it expects a byte string ends the process. So every packet is read here, strictly, and handed on only as one that we
// wrote ourselves, with the known fields of the right type and size (BEP 5, BEP 44) and nothing else.
import {
  type Bencode,
  type BencodeDictionary,
  decodeBencode,
  encodeBencode,
  latin1,
  limits,
} from '../../protocol/index.ts'

export type Verdict =
  | { readonly kind: 'pass'; readonly bytes: Uint8Array; readonly isQuery: boolean }
  | { readonly kind: 'drop'; readonly reason: string }
  /** A query that deserves the small error message in `bytes`. */
  | { readonly kind: 'refuse'; readonly reason: string; readonly bytes: Uint8Array }

/** The largest honest packet is a put of 1,000 bytes with its signature, key, salt and token. */
const packetMaxBytes = 2_048
const transactionMaxBytes = 20
const tokenMaxBytes = 64
const idBytes = 20
const compactNodeBytes = 26
const compactPeerBytes = 6
const nodesMax = 40
const peersMax = 100

type Fields = readonly (readonly [string, Bencode])[]

/** Thrown inside a query's check: the sender gets this BEP 5 / BEP 44 error. */
class Refusal {
  readonly code: number
  readonly reason: string
  constructor(code: number, reason: string) {
    this.code = code
    this.reason = reason
  }
}

export function checkPacket(packet: Uint8Array): Verdict {
  if (packet.length > packetMaxBytes) return drop('larger than any honest packet')
  let message: Bencode
  try {
    message = decodeBencode(packet, { maxDepth: 6, keyOrder: 'any' })
  } catch {
    return drop('not bencode')
  }
  if (!(message instanceof Map)) return drop('not a dictionary')
  const transaction = message.get('t')
  if (!isBytes(transaction) || transaction.length === 0 || transaction.length > transactionMaxBytes) {
    return drop('no usable transaction id')
  }
  switch (text(message.get('y'))) {
    case 'q':
      return checkQuery(message, transaction)
    case 'r':
      return checkResponse(message, transaction)
    case 'e':
      return checkError(message, transaction)
    default:
      return drop('of unknown kind')
  }
}

function checkQuery(message: BencodeDictionary, transaction: Uint8Array): Verdict {
  const method = text(message.get('q'))
  const fields = message.get('a')
  if (method === undefined || !(fields instanceof Map)) return drop('a query without method or arguments')
  const check = queries.get(method)
  try {
    if (check === undefined) throw new Refusal(204, 'method unknown')
    const known: Fields = [['id', exactly(fields, 'id', idBytes)], ...check(fields)]
    const fieldsOut: Fields = [
      ['a', new Map(known)],
      ['q', latin1(method)],
      ['t', transaction],
      ['y', latin1('q')],
    ]
    return { kind: 'pass', isQuery: true, bytes: encodeBencode(new Map(fieldsOut)) }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const bytes = encodeBencode(
      new Map<string, Bencode>([
        ['e', [error.code, latin1(error.reason)]],
        ['t', transaction],
        ['y', latin1('e')],
      ]),
    )
    return { kind: 'refuse', reason: error.reason, bytes }
  }
}

const queries: ReadonlyMap<string, (fields: BencodeDictionary) => Fields> = new Map([
  ['ping', () => []],
  ['find_node', (fields) => [['target', exactly(fields, 'target', idBytes)]]],
  ['get_peers', (fields) => [['info_hash', exactly(fields, 'info_hash', idBytes)]]],
  ['get', (fields) => [['target', exactly(fields, 'target', idBytes)]]],
  ['announce_peer', checkAnnounce],
  ['put', checkPut],
])

function checkAnnounce(fields: BencodeDictionary): Fields {
  const implied = fields.get('implied_port')
  const usesSourcePort = typeof implied === 'number' && implied !== 0
  const port = fields.get('port')
  if (!usesSourcePort && (typeof port !== 'number' || port < 1 || port > 65_535)) throw new Refusal(203, 'bad port')
  return [
    ['implied_port', usesSourcePort ? 1 : 0],
    ['info_hash', exactly(fields, 'info_hash', idBytes)],
    ['port', usesSourcePort ? 0 : port!],
    ['token', token(fields)],
  ]
}

/** BEP 44. Values other than byte strings are legal there but nobody here reads them, so they are not stored either. */
function checkPut(fields: BencodeDictionary): Fields {
  const value = fields.get('v')
  if (!isBytes(value)) throw new Refusal(203, 'bad v')
  if (value.length > limits.pointerMaxBytes) throw new Refusal(205, 'v too big')
  const common: Fields = [
    ['token', token(fields)],
    ['v', value],
  ]
  if (!fields.has('k') && !fields.has('sig')) return common
  const salt = fields.get('salt')
  if (salt !== undefined && !isBytes(salt)) throw new Refusal(203, 'bad salt')
  if (salt !== undefined && salt.length > limits.pointerSaltMaxBytes) throw new Refusal(207, 'salt too big')
  const cas = fields.get('cas')
  if (cas !== undefined && !isCount(cas)) throw new Refusal(203, 'bad cas')
  const seq = fields.get('seq')
  if (!isCount(seq)) throw new Refusal(203, 'bad seq')
  return [
    ...common,
    ...(cas === undefined ? [] : ([['cas', cas]] as const)),
    ['k', exactly(fields, 'k', 32)],
    ...(salt === undefined || salt.length === 0 ? [] : ([['salt', salt]] as const)),
    ['seq', seq],
    ['sig', exactly(fields, 'sig', 64)],
  ]
}

/** Of a response, each field that is not what it should be is left out: the rest may still help a lookup on. */
function checkResponse(message: BencodeDictionary, transaction: Uint8Array): Verdict {
  const fields = message.get('r')
  if (transaction.length !== 2) return drop('an answer to nobody here')
  if (!(fields instanceof Map)) return drop('an answer without fields')
  const id = fields.get('id')
  if (!isBytes(id) || id.length !== idBytes) return drop('an answer without a node id')
  const known: (readonly [string, Bencode])[] = [['id', id]]
  const nodes = fields.get('nodes')
  if (isBytes(nodes) && nodes.length % compactNodeBytes === 0 && nodes.length <= nodesMax * compactNodeBytes) {
    known.push(['nodes', nodes])
  }
  const values = fields.get('values')
  if (Array.isArray(values)) {
    const peers = values.slice(0, peersMax).filter((peer) => isBytes(peer) && peer.length === compactPeerBytes)
    if (peers.length > 0) known.push(['values', peers])
  }
  const token = fields.get('token')
  if (isBytes(token) && token.length > 0 && token.length <= tokenMaxBytes) known.push(['token', token])
  known.push(...storedItem(fields))
  return pass([
    ['r', new Map(known)],
    ['t', transaction],
    ['y', latin1('r')],
  ])
}

/** A BEP 44 value in an answer, complete or not at all. */
function storedItem(fields: BencodeDictionary): Fields {
  const [v, k, sig, seq] = ['v', 'k', 'sig', 'seq'].map((name) => fields.get(name))
  if (!isBytes(v) || v.length > limits.pointerMaxBytes) return []
  if (k === undefined && sig === undefined) return [['v', v]]
  if (!isBytes(k) || k.length !== 32 || !isBytes(sig) || sig.length !== 64 || !isCount(seq)) return []
  return [
    ['k', k],
    ['seq', seq],
    ['sig', sig],
    ['v', v],
  ]
}

function checkError(message: BencodeDictionary, transaction: Uint8Array): Verdict {
  const error = message.get('e')
  if (transaction.length !== 2 || !Array.isArray(error)) return drop('an error for nobody here')
  const [code, reason] = error as readonly Bencode[]
  const known = [typeof code === 'number' ? code : 201, isBytes(reason) ? reason.subarray(0, 100) : new Uint8Array()]
  return pass([
    ['e', known],
    ['t', transaction],
    ['y', latin1('e')],
  ])
}

function exactly(fields: BencodeDictionary, name: string, bytes: number): Uint8Array {
  const value = fields.get(name)
  if (!isBytes(value) || value.length !== bytes) throw new Refusal(203, `bad ${name}`)
  return value
}

function token(fields: BencodeDictionary): Uint8Array {
  const value = fields.get('token')
  if (!isBytes(value) || value.length === 0 || value.length > tokenMaxBytes) throw new Refusal(203, 'bad token')
  return value
}

function isBytes(value: Bencode | undefined): value is Uint8Array {
  return value instanceof Uint8Array
}

function isCount(value: Bencode | undefined): value is number {
  return typeof value === 'number' && value >= 0
}

function text(value: Bencode | undefined): string | undefined {
  return isBytes(value) && value.length <= 32 ? String.fromCharCode(...value) : undefined
}

function pass(fields: Fields): Verdict {
  return { kind: 'pass', isQuery: false, bytes: encodeBencode(new Map(fields)) }
}

function drop(reason: string): Verdict {
  return { kind: 'drop', reason }
}
