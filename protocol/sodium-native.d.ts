// The functions of sodium-native that protocol/ uses; the package ships no types.
declare module 'sodium-native' {
  const sodium: {
    crypto_sign_seed_keypair(publicKey: Buffer, secretKey: Buffer, seed: Buffer): void
    crypto_sign_detached(signature: Buffer, message: Buffer, secretKey: Buffer): void
    crypto_sign_verify_detached(signature: Buffer, message: Buffer, publicKey: Buffer): boolean
    crypto_secretbox_easy(covered: Buffer, message: Buffer, nonce: Buffer, key: Buffer): void
    crypto_secretbox_open_easy(message: Buffer, covered: Buffer, nonce: Buffer, key: Buffer): boolean
  }
  export default sodium
}
