// Persona links: handing a persona to others, and opening what others hand over, bit for bit. node/api/ and start-node.ts call it.
// An opened persona is its lockfile and nothing else: the link's digest decides what it is, its releases pass the same door as all others,
// and it never moves. It must never fetch a release before a person could see what would come, nor use a text of strangers as an
// instruction.
export { lookIntoLink } from './look-into-link.ts'
export type { LinkPreview, PreviewedRelease } from './look-into-link.ts'
export { openLink } from './open-link.ts'
export type { OpenedPersona } from './open-link.ts'
export { keepSharing, listShared, sharePersona, stopSharing } from './share-persona.ts'
export type { SharedPersona } from './share-persona.ts'
