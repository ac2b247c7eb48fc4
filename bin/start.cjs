// A file of its own because `import()` would be a syntax error to the Node versions that lora-mesh.cjs turns away.
'use strict'
void import('../dist/node/cli/main.js')
