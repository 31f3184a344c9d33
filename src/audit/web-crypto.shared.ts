import type { NoteCrypto } from './note.shared.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** What browsers bring for notes and proofs: WebCrypto, with Ed25519 as all current ones have it. */
export const webCrypto: NoteCrypto = {
  sha256: async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Bytes)),
  verify: async (publicKey, message, signature) => {
    try {
      const key = await crypto.subtle.importKey('raw', publicKey as Bytes, 'Ed25519', false, ['verify']);
      return await crypto.subtle.verify('Ed25519', key, signature as Bytes, message as Bytes);
    } catch {
      return false;
    }
  },
};
