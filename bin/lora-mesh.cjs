#!/usr/bin/env node
// Starts the compiled program. Written in the oldest JavaScript, so that an old Node answers with a sentence, not a syntax error.
'use strict'
var major = parseInt(process.versions.node, 10)
if (major < 24) {
  process.stderr.write('lora-mesh needs Node 24 or newer, and this is Node ' + process.versions.node + ': install a newer Node and put it first on the PATH.\n')
  process.exitCode = 1
} else {
  require('./start.cjs')
}
