import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { Sealer } from './identity.ts';

const NONCE = 12;
const TAG = 16;
export const SEAL_KEY_BYTES = 32;

/**
 * AES-256-GCM under a key from a file; the context (whose secret, which sort) is authenticated with it, so that a sealed
 * secret can't be moved to another account. Layout: nonce (12), tag (16), ciphertext.
 */
export function openSealer(key: Uint8Array): Sealer {
  if (key.length !== SEAL_KEY_BYTES) throw new Error(`the seal key must hold ${SEAL_KEY_BYTES} bytes`);
  const derive = (purpose: string) => Buffer.from(hkdfSync('sha256', key, '', `strongroom ${purpose}`, 32));
  const sealKey = derive('seal v1');
  const nameKey = derive('name v1');
  return {
    seal: (text, context) => {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv('aes-256-gcm', sealKey, nonce).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]);
    },
    open: (sealed, context) => {
      const bytes = Buffer.from(sealed);
      const decipher = createDecipheriv('aes-256-gcm', sealKey, bytes.subarray(0, NONCE), { authTagLength: TAG })
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(NONCE, NONCE + TAG));
      return Buffer.concat([decipher.update(bytes.subarray(NONCE + TAG)), decipher.final()]).toString('utf8');
    },
    fingerprint: (text) => createHmac('sha256', nameKey).update(text).digest('hex'),
  };
}
