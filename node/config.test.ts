import fc from 'fast-check'
import { expect, test } from 'vitest'
import { overrideNetwork, parseConfig, splitEndpoint } from './config.ts'

test('an absent file means all defaults, everything on, loopback', () => {
  const config = parseConfig(undefined, 'config.json')
  expect(config.api.host).toBe('127.0.0.1')
  expect(config.network).toMatchObject({
    exchange: true,
    bep5: true,
    bep44: true,
    tcp: true,
    noise: true,
    uploadBytesPerSecond: 0,
  })
  expect(config.resolver.embedder).toBe('built-in')
})

test('every wrong key is named with its path', () => {
  const text = JSON.stringify({
    api: { port: 70_000 },
    network: { bep5: 'yes', bootstrapDht: ['nowhere'] },
    colour: 'blue',
  })
  expect(() => parseConfig(text, '/d/config.json')).toThrow(
    expect.objectContaining({
      code: 'bad-config',
      message: expect.stringMatching(
        /\/d\/config\.json.*api\.port.*network\.bootstrapDht\.0: must be HOST:PORT.*network\.bep5.*colour/s,
      ),
    }),
  )
})

test('text that is not JSON is refused with the file name', () => {
  expect(() => parseConfig('{', '/d/config.json')).toThrow(/\/d\/config\.json is not JSON/)
})

test('flags beat the file, absent flags do not', () => {
  const config = parseConfig('{"network": {"bootstrapDht": ["192.0.2.1:1"], "bep5": false}}', 'c')
  const over = overrideNetwork(config, { bootstrapDht: ['192.0.2.2:2'], bep5: undefined })
  expect(over.network).toMatchObject({ bootstrapDht: ['192.0.2.2:2'], bep5: false })
})

test('endpoints of both IP versions and of names are split, others are not', () => {
  expect(splitEndpoint('192.0.2.7:6881')).toEqual({ host: '192.0.2.7', port: 6881 })
  expect(splitEndpoint('[2001:db8::7]:6881')).toEqual({ host: '2001:db8::7', port: 6881 })
  expect(splitEndpoint('dht.example.org:1')).toEqual({ host: 'dht.example.org', port: 1 })
  const wrong = ['a', 'a:', ':1', 'a:0', 'a:65536', '2001:db8::7:1', 'a b:1', 'a:1x', '[::1]', 'a:99999999']
  expect(wrong.filter((text) => splitEndpoint(text) !== undefined)).toEqual([])
})

test('no text makes the parser fail with anything but bad-config', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseConfig(text, 'c')
      } catch (error) {
        expect(error).toMatchObject({ code: 'bad-config' })
      }
    }),
  )
})
