import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const BLOCK = 512;
/** Of a file in an export. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,98}$/;

/** What was sent is not the whole of an archive of ours. */
export class TarFault extends Error {
  override readonly name = 'TarFault';
}

/**
 * Unpacks what `tarEntry` packs into a new folder, as it comes and without holding a file in memory. MUST NOT write
 * anything outside of the folder, whoever made the archive: plain files with plain names, none twice. Resolves with the
 * number of bytes.
 *
 * @throws TarFault for anything else, and for an archive without its end, which was cut off.
 */
export async function unpackTar(chunks: AsyncIterable<Uint8Array>, folder: string): Promise<number> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0) throw new Error(`${folder} is not empty`);
  await using unpacking = new Unpacking(folder);
  let bytes = 0;
  for await (const chunk of chunks) {
    await unpacking.take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    bytes += chunk.length;
  }
  if (!unpacking.isWhole) throw new TarFault('the archive broke off: it is not whole');
  return bytes;
}

class Unpacking implements AsyncDisposable {
  readonly #folder: string;
  #header = Buffer.alloc(0);
  #file: FileHandle | null = null;
  /** Bytes of the file, and of its padding, that are still to come. */
  #left = 0;
  #padding = 0;
  #ends = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get isWhole(): boolean {
    return this.#ends === 2 && this.#header.length === 0;
  }

  async take(chunk: Buffer): Promise<void> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left > 0) rest = await this.#content(rest);
      else if (this.#padding > 0) rest = this.#skip(rest);
      else rest = await this.#head(rest);
    }
  }

  async #content(rest: Buffer): Promise<Buffer> {
    const part = rest.subarray(0, this.#left);
    await this.#file?.appendFile(part);
    this.#left -= part.length;
    if (this.#left === 0) await this.#close();
    return rest.subarray(part.length);
  }

  #skip(rest: Buffer): Buffer {
    const length = Math.min(rest.length, this.#padding);
    this.#padding -= length;
    return rest.subarray(length);
  }

  async #head(rest: Buffer): Promise<Buffer> {
    const needed = rest.subarray(0, BLOCK - this.#header.length);
    this.#header = Buffer.concat([this.#header, needed]);
    if (this.#header.length === BLOCK) {
      const header = this.#header;
      this.#header = Buffer.alloc(0);
      if (header.every((byte) => byte === 0)) this.#ends++;
      else await this.#begin(header);
    }
    return rest.subarray(needed.length);
  }

  async #begin(header: Buffer): Promise<void> {
    const text = (at: number, length: number) =>
      (header.toString('latin1', at, at + length).split('\0')[0] ?? '').trim();
    const [name, size, sum] = [text(0, 100), text(124, 12), text(148, 8)];
    const summed = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
    const isPlain = text(156, 1) === '0' && text(257, 5) === 'ustar' && text(157, 100) === '' && text(345, 155) === '';
    if (
      this.#ends > 0 ||
      !isPlain ||
      !NAME.test(name) ||
      !/^[0-7]{1,11}$/.test(size) ||
      Number.parseInt(sum, 8) !== summed
    ) {
      throw new TarFault('what the server sent is no archive of records');
    }
    this.#left = Number.parseInt(size, 8);
    this.#padding = (BLOCK - (this.#left % BLOCK)) % BLOCK;
    this.#file = await open(join(this.#folder, name), 'wx', 0o600);
    if (this.#left === 0) await this.#close();
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}
