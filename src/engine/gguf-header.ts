import { checkFigures, GgufFault, TENSOR_TYPES } from './gguf-figures.ts';

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

const STRING = 8;
const ARRAY = 9;
/** Bytes of the scalar types 0 to 12; strings and arrays have none. */
const SCALAR_BYTES: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
const WINDOW = 256 * 1024;
/** Figures are kept of arrays up to this length: one value a layer. */
const MOST_LAYERS = 4096;

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

/** What the header says, as far as we need it. */
export interface GgufFacts {
  readonly architecture: string;
  /** Numbers and short arrays of numbers by name, without the architecture's prefix where they have it. */
  readonly figures: ReadonlyMap<string, readonly number[]>;
  /** The template inside the file, if any. It is not trusted; an admin may have approved its digest. */
  readonly chatTemplate: string | null;
  readonly vocabulary: number;
  /** Bytes of all tensors together. */
  readonly tensorBytes: number;
  /** Of them, by layer; and of those that make scores of the last layer's output. */
  readonly layerBytes: readonly number[];
  readonly outputBytes: number;
}

interface Metadata {
  architecture: string;
  chatTemplate: string | null;
  vocabulary: number;
  readonly values: Map<string, readonly number[]>;
}

/**
 * Checks header, metadata and tensor table.
 *
 * @throws GgufFault that says what is wrong
 */
export async function checkGguf(readAt: ReadAt, size: number, limits: GgufLimits = GGUF_LIMITS): Promise<GgufFacts> {
  const reader = new HeaderReader(readAt, limits);
  if ((await reader.u32()) !== 0x46554747) throw new GgufFault('not a GGUF file');
  const version = await reader.u32();
  if (version !== 2 && version !== 3) throw new GgufFault(`version ${version} is not supported`);
  const tensors = await reader.count('tensors', limits.tensors);
  const entries = await reader.count('metadata entries', limits.entries);
  if (tensors === 0) throw new GgufFault('no tensors');

  const found: Metadata = { architecture: '', chatTemplate: null, vocabulary: 0, values: new Map() };
  const keys = new Set<string>();
  for (let i = 0; i < entries; i++) {
    const key = await reader.string('key', 512);
    if (keys.has(key)) throw new GgufFault(`${key}: stands there twice`);
    keys.add(key);
    await readEntry(reader, key, found, limits);
  }
  const { architecture, chatTemplate, vocabulary } = found;
  if (!/^[a-z0-9_-]+$/.test(architecture)) throw new GgufFault('no architecture');
  const figures = new Map<string, readonly number[]>();
  for (const [key, values] of found.values) figures.set(key.replace(`${architecture}.`, ''), values);
  checkFigures(figures, tensors, vocabulary);
  const bytes = await readTensors(reader, tensors, figures, size);
  return { architecture, figures, chatTemplate, vocabulary, ...bytes };
}

async function readEntry(reader: HeaderReader, key: string, found: Metadata, limits: GgufLimits): Promise<void> {
  const type = await reader.u32();
  if (type === STRING) {
    if (key === 'general.architecture') found.architecture = await reader.string(key, 64);
    else if (key === 'tokenizer.chat_template') found.chatTemplate = await reader.string(key, MOST_TEMPLATE_BYTES);
    else await reader.skip(await reader.count(key, limits.stringBytes));
    return;
  }
  if (type !== ARRAY) {
    const bytes = SCALAR_BYTES[type];
    if (bytes === undefined) throw new GgufFault(`${key}: unknown type ${type}`);
    found.values.set(key, [scalar(await reader.take(bytes), type, 0)]);
    return;
  }
  const itemType = await reader.u32();
  const items = await reader.count(key, limits.arrayItems);
  if (key === 'tokenizer.ggml.tokens') found.vocabulary = items;
  if (itemType === STRING) {
    if (key === 'tokenizer.ggml.tokens') await readTokens(reader, items);
    else for (let i = 0; i < items; i++) await reader.skip(await reader.count(key, limits.stringBytes));
    return;
  }
  const bytes = SCALAR_BYTES[itemType];
  if (bytes === undefined) throw new GgufFault(`${key}: array of type ${itemType}`);
  if (items > MOST_LAYERS) {
    await reader.skip(bytes * items);
    return;
  }
  const view = await reader.take(bytes * items);
  found.values.set(
    key,
    Array.from({ length: items }, (_, at) => scalar(view, itemType, at * bytes)),
  );
}

/** llama.cpp asserts that no two tokens are spelt alike. */
async function readTokens(reader: HeaderReader, items: number): Promise<void> {
  const known = new Set<string>();
  for (let i = 0; i < items; i++) {
    const view = await reader.take(await reader.count('tokenizer.ggml.tokens', MOST_TOKEN_BYTES));
    // Byte for byte: many tokens are no UTF-8, and must not be taken for each other.
    const token = bytewise.decode(view);
    if (known.has(token)) throw new GgufFault(`token ${i}: spelt like another`);
    known.add(token);
  }
}

const MOST_TOKEN_BYTES = 16 * 1024;
const bytewise = new TextDecoder('latin1');

/** The types 0 to 12 of the format, in its order. */
const SCALARS: readonly (((view: DataView, at: number) => number) | undefined)[] = [
  (view, at) => view.getUint8(at),
  (view, at) => view.getInt8(at),
  (view, at) => view.getUint16(at, true),
  (view, at) => view.getInt16(at, true),
  (view, at) => view.getUint32(at, true),
  (view, at) => view.getInt32(at, true),
  (view, at) => view.getFloat32(at, true),
  (view, at) => view.getUint8(at),
  undefined,
  undefined,
  (view, at) => Number(view.getBigUint64(at, true)),
  (view, at) => Number(view.getBigInt64(at, true)),
  (view, at) => view.getFloat64(at, true),
];
const scalar = (view: DataView, type: number, at: number): number => SCALARS[type]?.(view, at) ?? Number.NaN;
const MOST_TEMPLATE_BYTES = 1024 * 1024;

/** Every tensor lies inside the file, aligned, of a known type. */
async function readTensors(
  reader: HeaderReader,
  tensors: number,
  figures: ReadonlyMap<string, readonly number[]>,
  size: number,
): Promise<Pick<GgufFacts, 'tensorBytes' | 'layerBytes' | 'outputBytes'>> {
  const layerBytes = new Array<number>(figures.get('block_count')?.[0] ?? 0).fill(0);
  let [embeddings, outputBytes] = [0, 0];
  const alignment = figures.get('general.alignment')?.[0] ?? 32;
  const names = new Set<string>();
  let total = 0;
  let end = 0;
  for (let i = 0; i < tensors; i++) {
    const name = await reader.string('tensor name', 512);
    if (names.has(name)) throw new GgufFault(`${name}: stands there twice`);
    names.add(name);
    const bytes = await readTensor(reader, name, size);
    const offset = await reader.count(name, size);
    if (offset % alignment !== 0) throw new GgufFault(`${name}: offset ${offset}`);
    const layer = Number(/^blk\.(\d{1,4})\./.exec(name)?.[1] ?? -1);
    if (layer >= 0 && layer < layerBytes.length) layerBytes[layer] = (layerBytes[layer] ?? 0) + bytes;
    if (/^output\b/.test(name)) outputBytes += bytes;
    if (name === 'token_embd.weight') embeddings = bytes;
    total += bytes;
    end = Math.max(end, offset + bytes);
  }
  const data = Math.ceil(reader.offset / alignment) * alignment;
  if (data + end > size) throw new GgufFault(`tensors end at ${data + end} of ${size} bytes`);
  // Tensors that share bytes would be more than the file holds.
  if (total > size) throw new GgufFault('tensors overlap');
  // Without scores of their own the embeddings serve, and lie there a second time.
  return { tensorBytes: total, layerBytes, outputBytes: outputBytes > 0 ? outputBytes : embeddings };
}

async function readTensor(reader: HeaderReader, name: string, size: number): Promise<number> {
  const dimensions = await reader.u32();
  if (dimensions < 1 || dimensions > 4) throw new GgufFault(`${name}: ${dimensions} dimensions`);
  let elements = 1;
  let first = 1;
  for (let i = 0; i < dimensions; i++) {
    const length = await reader.count(name, Number.MAX_SAFE_INTEGER);
    if (i === 0) first = length;
    elements *= length;
  }
  // The densest type there is has about one bit an element.
  if (elements === 0 || elements > size * 16) throw new GgufFault(`${name}: ${elements} elements in ${size} bytes`);
  const type = await reader.u32();
  const block = TENSOR_TYPES.get(type);
  if (block === undefined) throw new GgufFault(`${name}: unknown tensor type ${type}`);
  const [bytes, length] = block;
  if (first % length !== 0) throw new GgufFault(`${name}: rows of ${first} in blocks of ${length}`);
  return (elements / length) * bytes;
}
