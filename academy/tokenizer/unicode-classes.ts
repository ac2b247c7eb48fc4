// What kind of character a code point is to the pre-tokenizer. llama.cpp decides by tables of Unicode 15.1, JavaScript by whatever version
// the runtime has, so characters that are newer are named here and treated as llama.cpp treats them: as neither letters nor numbers.
// A test compares all of them; a runtime with a newer Unicode fails it, and its new letters and numbers are to be added to `newer`.

export type CharacterClass = 'letter' | 'number' | 'space' | 'other'

// Letters and numbers of Unicode 16 and 17. A range also spans what lies between them and is no letter or number in 15.1 either.
// JavaScript's \s is not used: it has U+FEFF and lacks U+0085.
const newer = String.raw`[\u{88f}\u{c5c}\u{cdc}\u{1c89}-\u{1c8a}\u{a7cb}-\u{a7cf}\u{a7d2}\u{a7d4}\u{a7da}-\u{a7f1}\
\u{105c0}-\u{105f3}\u{10940}-\u{10959}\u{10d40}-\u{10d85}\u{10ec2}-\u{10ec7}\u{11380}-\u{113d3}\u{116d0}-\u{116e3}\
\u{11bc0}-\u{11bf9}\u{11db0}-\u{11de9}\u{13460}-\u{143fa}\u{16100}-\u{16139}\u{16d40}-\u{16d79}\u{16ea0}-\u{16ed3}\
\u{16ff2}-\u{16ff6}\u{187f8}-\u{187ff}\u{18cff}\u{18d09}-\u{18df2}\u{1ccf0}-\u{1ccf9}\u{1e5d0}-\u{1e6ff}\
\u{2b73a}-\u{2b73f}\u{2cea2}-\u{2cead}\u{323b0}-\u{33479}]`.replaceAll('\\\n', '')
const letters = new RegExp(`^[\\p{L}--${newer}]$`, 'v')
const numbers = new RegExp(`^[\\p{N}--${newer}]$`, 'v')
const spaces = /^\p{White_Space}$/v

const classes: readonly CharacterClass[] = ['other', 'letter', 'number', 'space']

// 0 where a code point hasn't been met yet, else its class's index plus one.
const known = new Uint8Array(0x110000)

/** The class of a code point; half of a surrogate pair is `other`, as is the U+FFFD it becomes in UTF-8. */
export function classOf(codePoint: number): CharacterClass {
  let number = known[codePoint]!
  if (number === 0) {
    number = classes.indexOf(classify(String.fromCodePoint(codePoint))) + 1
    known[codePoint] = number
  }
  return classes[number - 1]!
}

function classify(character: string): CharacterClass {
  if (letters.test(character)) return 'letter'
  if (numbers.test(character)) return 'number'
  return spaces.test(character) ? 'space' : 'other'
}
