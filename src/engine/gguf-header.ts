/**
 * A bounded reader of GGUF headers. It runs in the child before any other parser sees the file: the library's own reader
 * takes any count and any length at its word and can be made to allocate or loop without end (engine.md, section 4).
 * It decides only whether the header is sane; it keeps nothing of it but what is checked.
 */
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

export class GgufFault extends Error {}

const STRING = 8;
const ARRAY = 9;
/** Bytes of the scalar types 0 to 12; strings and arrays have none. */
const SCALAR_BYTES: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
const WINDOW = 256 * 1024;

/**
 * Figures that llama.cpp asserts on instead of checking: with a value outside, or with none, the process would abort.
 */
const REQUIRED_FIGURES: Readonly<Record<string, readonly [least: number, most: number]>> = {
  block_count: [1, 4096],
  embedding_length: [1, 1_048_576],
  context_length: [1, 1 << 30],
};
/** May be one figure or one per layer; checked where it is one. */
const OPTIONAL_FIGURES: Readonly<Record<string, readonly [least: number, most: number]>> = {
  'attention.head_count': [1, 65_536],
  'attention.head_count_kv': [1, 65_536],
  feed_forward_length: [1, 16_777_216],
};

class HeaderReader {
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

/**
 * Checks header, metadata and tensor table.
 *
 * @throws GgufFault that says what is wrong
 */
export async function checkGguf(readAt: ReadAt, size: number, limits: GgufLimits = GGUF_LIMITS): Promise<void> {
  const reader = new HeaderReader(readAt, limits);
  if ((await reader.u32()) !== 0x46554747) throw new GgufFault('not a GGUF file');
  const version = await reader.u32();
  if (version !== 2 && version !== 3) throw new GgufFault(`version ${version} is not supported`);
  const tensors = await reader.count('tensors', limits.tensors);
  const entries = await reader.count('metadata entries', limits.entries);
  if (tensors === 0) throw new GgufFault('no tensors');

  let architecture = '';
  const figures = new Map<string, number>();
  for (let i = 0; i < entries; i++) {
    const key = await reader.string('key', 512);
    const type = await reader.u32();
    if (type === STRING && key === 'general.architecture') architecture = await reader.string(key, 64);
    else if (type === 4) figures.set(key, await reader.u32());
    else await skipValue(reader, type, key, limits);
  }
  if (!/^[a-z0-9_-]+$/.test(architecture)) throw new GgufFault('no architecture');
  checkFigures(architecture, figures);
  for (let i = 0; i < tensors; i++) await checkTensor(reader, size);
}

async function skipValue(reader: HeaderReader, type: number, key: string, limits: GgufLimits): Promise<void> {
  if (type === STRING) {
    await reader.skip(await reader.count(key, limits.stringBytes));
    return;
  }
  if (type !== ARRAY) {
    const bytes = SCALAR_BYTES[type];
    if (bytes === undefined) throw new GgufFault(`${key}: unknown type ${type}`);
    await reader.skip(bytes);
    return;
  }
  const itemType = await reader.u32();
  const items = await reader.count(key, limits.arrayItems);
  if (itemType === STRING) {
    for (let i = 0; i < items; i++) await reader.skip(await reader.count(key, limits.stringBytes));
    return;
  }
  const bytes = SCALAR_BYTES[itemType];
  if (bytes === undefined) throw new GgufFault(`${key}: array of type ${itemType}`);
  await reader.skip(bytes * items);
}

function checkFigures(architecture: string, figures: ReadonlyMap<string, number>): void {
  const within = (name: string, [least, most]: readonly [number, number], required: boolean) => {
    const value = figures.get(`${architecture}.${name}`);
    if (value === undefined && !required) return;
    if (value === undefined || value < least || value > most) throw new GgufFault(`${name}: ${value ?? 'missing'}`);
  };
  for (const [name, range] of Object.entries(REQUIRED_FIGURES)) within(name, range, true);
  for (const [name, range] of Object.entries(OPTIONAL_FIGURES)) within(name, range, false);
}

async function checkTensor(reader: HeaderReader, size: number): Promise<void> {
  const name = await reader.string('tensor name', 512);
  const dimensions = await reader.u32();
  if (dimensions < 1 || dimensions > 4) throw new GgufFault(`${name}: ${dimensions} dimensions`);
  let elements = 1;
  for (let i = 0; i < dimensions; i++) elements *= await reader.count(name, Number.MAX_SAFE_INTEGER);
  // The densest type there is has about one bit an element.
  if (elements === 0 || elements > size * 16) throw new GgufFault(`${name}: ${elements} elements in ${size} bytes`);
  await reader.skip(4);
  await reader.count(name, size);
}
