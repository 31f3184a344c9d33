import { blobToWire, freshShape, keysToWire, wireBytes, wireToBlob } from './blob.shared.ts';
import {
  type Descriptor,
  linked,
  resultOf,
  rotationSteps,
  rounded,
  standardise,
  widthOf,
} from './descriptor.shared.ts';
import { decodeFrame, encodeFrame } from './frame.shared.ts';
import { openContext, type PinnedSet, parameterSet, slotsOf } from './parameters.shared.ts';
import type { Encoder, SealContext } from './seal.shared.ts';
import type { Decryptor, Encryptor, KeyGenerator, SecretSeal } from './secret.shared.ts';

/**
 * Scores customers at a gateway that can not see them: makes a secret key of its own, which never leaves this object,
 * encrypts features and decrypts scores. The same code in a browser's worker and in Node; `seal` is what the initialiser
 * of node-seal 7 gives. `close()` gives its memory back.
 *
 * ```
 * const client = new ScoringClient(seal, descriptor);
 * session = await post('/v1/scoring/keys', client.keys())          // { id }
 * result = await post(`/v1/scoring/models/${id}/evaluate`, client.encryptBatch(rows, session.id))
 * scores = client.decrypt(result)
 * ```
 */
export class ScoringClient {
  readonly #seal: SecretSeal;
  readonly #descriptor: Descriptor;
  readonly #set: PinnedSet;
  readonly #context: SealContext;
  readonly #generator: KeyGenerator;
  readonly #encryptor: Encryptor;
  readonly #decryptor: Decryptor;
  readonly #encoder: Encoder;

  /** @throws Error for a parameter set that this client does not know: it would not know how safe it is. */
  constructor(seal: SecretSeal, descriptor: Descriptor) {
    const set = parameterSet(descriptor.params);
    if (set === undefined || set.sha256 !== descriptor.params_sha256) {
      throw new Error(`the parameter set ${descriptor.params} is not one that this client knows`);
    }
    this.#seal = seal;
    this.#descriptor = descriptor;
    this.#set = set;
    this.#context = openContext(seal, set);
    this.#generator = new seal.KeyGenerator(this.#context);
    const secret = this.#generator.secretKey();
    // The binding makes no encryptor without one; it is never used and never sent.
    const unused = this.#generator.createPublicKey();
    this.#encryptor = new seal.Encryptor(this.#context, unused);
    this.#encryptor.setSecretKey(secret);
    this.#decryptor = new seal.Decryptor(this.#context, secret);
    this.#encoder = new seal.CKKSEncoder(this.#context);
    unused.delete();
    secret.delete();
  }

  /** The frame that opens a session: the keys for the rotations that the model needs, or none. */
  keys(): Uint8Array {
    const steps = rotationSteps(this.#descriptor);
    const head = {
      kind: 'keys',
      objects: steps.length,
      customers: 0,
      ...this.#hashes,
      session: '0'.repeat(32),
    } as const;
    if (steps.length === 0) return encodeFrame(head, new Uint8Array(0));
    const made = this.#generator.createGaloisKeysSerializableWithSteps(Int32Array.from(steps));
    try {
      return encodeFrame(head, keysToWire(this.#set, steps, made.saveToArray(this.#seal.ComprModeType.none)));
    } finally {
      made.delete();
    }
  }

  /** One customer, his features repeated over all slots. @throws RangeError naming a feature that is no number. */
  encryptSingle(row: readonly number[], session: string): Uint8Array {
    const values = standardise(this.#descriptor, row);
    const width = widthOf(this.#descriptor);
    const slots = Float64Array.from({ length: slotsOf(this.#set) }, (_, slot) => values[slot % width] ?? 0);
    const head = { kind: 'single', objects: 1, customers: 1, ...this.#hashes, session } as const;
    return encodeFrame(head, this.#encrypt(slots));
  }

  /** As many customers as fit: one ciphertext a feature. @throws RangeError naming the row and the feature. */
  encryptBatch(rows: readonly (readonly number[])[], session: string): Uint8Array {
    const slots = slotsOf(this.#set);
    if (rows.length === 0 || rows.length > slots) throw new RangeError(`between 1 and ${slots} rows were expected`);
    const { features } = this.#descriptor;
    const columns = features.map(() => new Float64Array(slots));
    rows.forEach((row, index) => {
      const values = standardise(this.#descriptor, row);
      columns.forEach((column, feature) => {
        column[index] = values[feature] as number;
      });
    });
    const size = wireBytes(this.#set, freshShape(this.#set));
    const payload = new Uint8Array(columns.length * size);
    columns.forEach((column, feature) => {
      payload.set(this.#encrypt(column), feature * size);
    });
    const head = { kind: 'batch', objects: columns.length, customers: rows.length, ...this.#hashes, session } as const;
    return encodeFrame(head, payload);
  }

  /**
   * The scores of a result, one per customer, rounded to the model's decimals and to no more than four.
   *
   * @throws Error when it is not a result of this model under these parameters.
   */
  decrypt(frame: Uint8Array, mode: 'single' | 'batch'): number[] {
    return this.exactly(frame, mode).map((value) => rounded(this.#descriptor, value));
  }

  /**
   * The same with every digit, for the test of a model with a throwaway key. Two such lists tell the secret key
   * to whoever holds the ciphertexts: they MUST NOT be shown, sent or stored.
   */
  exactly(frame: Uint8Array, mode: 'single' | 'batch'): number[] {
    const decoded = decodeFrame(frame);
    const shape = resultOf(this.#set, this.#descriptor.kind);
    const { paramsHash, modelHash } = this.#hashes;
    const blob =
      decoded?.head.kind === 'result' &&
      decoded.head.paramsHash === paramsHash &&
      decoded.head.modelHash === modelHash &&
      decoded.head.objects === shape.polynomials
        ? wireToBlob(this.#set, shape, decoded.payload)
        : null;
    if (decoded === null || blob === null) throw new Error('the answer is not a result of this model');
    const values = this.#decode(blob);
    // All slots hold the same score; their mean is the most exact one: noise sits in a few of them.
    const scores =
      mode === 'single'
        ? [values.reduce((sum, value) => sum + value, 0) / values.length]
        : Array.from(values.subarray(0, decoded.head.customers));
    return scores.map((value) => linked(this.#descriptor, value));
  }

  close(): void {
    for (const handle of [this.#encryptor, this.#decryptor, this.#generator, this.#encoder, this.#context]) {
      handle.delete();
    }
  }

  get #hashes(): { readonly paramsHash: string; readonly modelHash: string } {
    return { paramsHash: this.#set.sha256, modelHash: this.#descriptor.sha256 };
  }

  #encrypt(slots: Float64Array): Uint8Array {
    const plain = new this.#seal.Plaintext();
    this.#encoder.encode(slots, 2 ** this.#set.scaleBits, plain);
    const sealed = this.#encryptor.encryptSymmetricSerializable(plain);
    plain.delete();
    try {
      return blobToWire(this.#set, freshShape(this.#set), sealed.saveToArray(this.#seal.ComprModeType.none));
    } finally {
      sealed.delete();
    }
  }

  #decode(blob: Uint8Array): Float64Array {
    const cipher = new this.#seal.Ciphertext();
    const plain = new this.#seal.Plaintext();
    try {
      cipher.loadFromArray(this.#context, blob);
      this.#decryptor.decrypt(cipher, plain);
      return this.#encoder.decodeFloat64(plain);
    } finally {
      cipher.delete();
      plain.delete();
    }
  }
}
