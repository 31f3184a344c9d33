import type { Ciphertext, Handle, Plaintext, Seal, SealContext } from './seal.shared.ts';

/** The part of SEAL's API that makes or uses a secret key. Only clients and the self-test of a model import it. */
interface Serializable extends Handle {
  saveToArray(mode: unknown): Uint8Array;
}
export interface KeyGenerator extends Handle {
  secretKey(): Handle;
  createPublicKey(): Handle;
  createGaloisKeysSerializableWithSteps(steps: Int32Array): Serializable;
}
export interface Encryptor extends Handle {
  setSecretKey(key: Handle): void;
  encryptSymmetricSerializable(plain: Plaintext): Serializable;
}
export interface Decryptor extends Handle {
  decrypt(cipher: Ciphertext, out: Plaintext): void;
}
export interface SecretSeal extends Seal {
  readonly KeyGenerator: new (context: SealContext) => KeyGenerator;
  readonly Encryptor: new (context: SealContext, publicKey: Handle) => Encryptor;
  readonly Decryptor: new (context: SealContext, secretKey: Handle) => Decryptor;
}
