import { GgufFault } from './gguf-figures.ts';

export interface GgufLimits {
  readonly entries: number;
  readonly tensors: number;
  readonly stringBytes: number;
  readonly arrayItems: number;
  readonly headerBytes: number;
}

export const GGUF_LIMITS: GgufLimits = {
  entries: 4096,
  tensors: 65_536,
  stringBytes: 4 * 1024 * 1024,
  arrayItems: 2_000_000,
  headerBytes: 256 * 1024 * 1024,
};

/** Reads exactly so many bytes from the file's place, or fewer at its end. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

const WINDOW = 256 * 1024;

/** Reads a header front to back, and never more of it than the limits allow. */
export class HeaderReader {
  readonly #readAt: ReadAt;
  readonly #limits: GgufLimits;
  #window: Uint8Array = new Uint8Array();
  #start = 0;
  #offset = 0;

  constructor(readAt: ReadAt, limits: GgufLimits) {
    this.#readAt = readAt;
    this.#limits = limits;
  }

  /** A view of the next bytes; only until the next call. */
  async take(length: number): Promise<DataView> {
    if (this.#offset + length > this.#limits.headerBytes) throw new GgufFault('header is too long');
    const from = this.#offset - this.#start;
    if (from < 0 || from + length > this.#window.length) {
      this.#window = await this.#readAt(this.#offset, Math.max(length, WINDOW));
      this.#start = this.#offset;
      if (this.#window.length < length) throw new GgufFault('header ends in the middle');
    }
    const at = this.#offset - this.#start;
    this.#offset += length;
    return new DataView(this.#window.buffer, this.#window.byteOffset + at, length);
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; left -= WINDOW) await this.take(Math.min(left, WINDOW));
  }

  /** Where the next byte is read. */
  get offset(): number {
    return this.#offset;
  }

  async u32(): Promise<number> {
    return (await this.take(4)).getUint32(0, true);
  }

  async count(what: string, most: number): Promise<number> {
    const value = (await this.take(8)).getBigUint64(0, true);
    if (value > BigInt(most)) throw new GgufFault(`${what}: ${value} is more than ${most}`);
    return Number(value);
  }

  async string(what: string, most: number): Promise<string> {
    const view = await this.take(await this.count(what, most));
    return new TextDecoder().decode(view);
  }
}
