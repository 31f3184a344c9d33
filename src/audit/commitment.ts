import { createHmac } from 'node:crypto';

/**
 * Salted commitments to texts that are not kept: HMAC-SHA-256 under a random key of this one record. Who holds text and
 * key can show that they belong to the record; without the key the record says nothing about the text.
 */
export class Commitment {
  readonly #key: Buffer;

  /** `key`: 32 random bytes of this record alone. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** The key in hex, for the side table. */
  get opening(): string {
    return this.#key.toString('hex');
  }

  /** In hex. */
  to(text: string): string {
    // As text: a Buffer costs five times as much, since Node first finds out the hard way that it is no KeyObject.
    const key = this.#key.toString('latin1');
    return createHmac('sha256', key, { encoding: 'latin1' }).update(text, 'utf8').digest('hex');
  }
}
