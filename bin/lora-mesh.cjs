#!/usr/bin/env node
// Starts the compiled program. Written in the oldest JavaScript, so that an old Node answers with a sentence, not a syntax error.
'use strict'
var version = process.versions.node
if (parseInt(version, 10) < 24) {
  var refusal = 'lora-mesh needs Node 24 or newer, and this is Node ' + version
  process.stderr.write(refusal + ': install a newer Node and put it first on the PATH.\n')
  process.exitCode = 1
} else {
  require('./start.cjs')
}
