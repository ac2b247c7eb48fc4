import { randomBytes } from 'node:crypto'
import { createIdentity } from '../../create-identity.ts'
import { dataPaths, openDataFolder } from '../../data-folder.ts'
import { hasKeys, passphraseFrom, readIdentity } from '../../keys.ts'
import { command } from '../command.ts'

export const initCommand = command({
  name: 'init',
  summary: 'Make an identity and a data folder for it',
  description:
    'The identity is printed: others name you by it. Run again, it only prints it.\nWith LORA_MESH_PASSPHRASE set the key files are encrypted with it, and every later command needs it too.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {},
  examples: ['lora-mesh init', 'lora-mesh init --data /srv/mesh --json'],
  async run({ dataRoot }) {
    const { keys } = dataPaths(dataRoot)
    // What is there already is only read, so a running node need not be stopped for it.
    const created = !(await hasKeys(keys)) && (await initialise(dataRoot))
    const identity = await readIdentity(keys)
    const next = 'Next: lora-mesh base add MODEL.gguf'
    return {
      json: { identity, data: dataRoot, created },
      text: created
        ? `${identity}\nKeys and data are in ${dataRoot}. Keep a copy of its folder "keys" in a safe place.\n${next}`
        : identity,
    }
  },
})

/** False when another process did it meanwhile. */
async function initialise(dataRoot: string): Promise<boolean> {
  await using folder = await openDataFolder(dataRoot, 'init', Date.now)
  if (await hasKeys(folder.paths.keys)) return false
  await createIdentity(folder.paths, {
    clock: Date.now,
    random: (bytes) => new Uint8Array(randomBytes(bytes)),
    passphrase: passphraseFrom(process.env),
  })
  return true
}
