import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { type SealKey, sealedUnder } from './seal.ts';

const NAME = 8;
const NONCE = 12;
const TAG = 16;
export const SEAL_KEY_BYTES = 32;

/**
 * AES-256-GCM under a key from a file; the context (whose secret, which sort) is authenticated with it, so that a sealed
 * secret can't be moved to another account. Layout: the key's name (8), nonce (12), tag (16), ciphertext.
 */
export function openSealKey(key: Uint8Array): SealKey {
  if (key.length !== SEAL_KEY_BYTES) throw new Error(`the seal key must hold ${SEAL_KEY_BYTES} bytes`);
  const derive = (purpose: string, length = 32) =>
    Buffer.from(hkdfSync('sha256', key, '', `strongroom ${purpose}`, length));
  const sealKey = derive('seal v1');
  const nameKey = derive('name v1');
  const name = derive('fingerprint v1', NAME);
  return {
    name: name.toString('hex'),
    bytes: key,
    seal: (text, context) => {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv('aes-256-gcm', sealKey, nonce).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([name, nonce, cipher.getAuthTag(), body]);
    },
    open: (sealed, context) => {
      if (sealedUnder(sealed) !== name.toString('hex')) throw new Error('sealed under another key');
      const bytes = Buffer.from(sealed).subarray(NAME);
      const decipher = createDecipheriv('aes-256-gcm', sealKey, bytes.subarray(0, NONCE), { authTagLength: TAG })
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(NONCE, NONCE + TAG));
      return Buffer.concat([decipher.update(bytes.subarray(NONCE + TAG)), decipher.final()]).toString('utf8');
    },
    fingerprint: (text) => createHmac('sha256', nameKey).update(text).digest('hex'),
  };
}
