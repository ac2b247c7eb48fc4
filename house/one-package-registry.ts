// A package registry with one package in it, on loopback: says of the tarball what a registry says after `npm publish`, the
// shrinkwrap included, so that npm obeys it. Every other request is answered with 404: what npm installs without asking for more
// is what the shrinkwrap says.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

export interface OnePackageRegistry extends AsyncDisposable {
  url: string
}

export async function serveOnePackage(
  manifest: { name: string; version: string },
  tarball: Uint8Array,
): Promise<OnePackageRegistry> {
  const server = createServer((request, response) => {
    if (request.url === `/${manifest.name}`) {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(packument))
    } else if (request.url === '/package.tgz') response.end(tarball)
    else response.writeHead(404).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
  const packument = {
    name: manifest.name,
    'dist-tags': { latest: manifest.version },
    versions: {
      [manifest.version]: { ...manifest, _hasShrinkwrap: true, dist: { tarball: `${url}package.tgz`, integrity } },
    },
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
