import { GgufFault, SplitFault, TENSOR_TYPES } from './gguf-figures.ts';
import { type GgufLimits, HeaderReader, type ReadAt } from './gguf-reader.ts';

/** A tensor as the table has it. */
export interface TensorEntry {
  /** Elements, the innermost dimension first. */
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: number;
}

/** What a GGUF file says before its tensors' data, as far as we need it; whatever kind of file it is. */
export interface GgufHeader {
  readonly architecture: string;
  /** Numbers and short arrays of numbers. */
  readonly values: ReadonlyMap<string, readonly number[]>;
  /** Short texts by which kinds of files are told apart. */
  readonly texts: ReadonlyMap<string, string>;
  /** The type of every entry. */
  readonly types: ReadonlyMap<string, number>;
  readonly chatTemplate: string | null;
  readonly vocabulary: number;
  /** The same for the same tokens in the same order; no digest. */
  readonly vocabularyMark: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

interface Metadata {
  chatTemplate: string | null;
  vocabulary: number;
  vocabularyMark: string;
  readonly values: Map<string, readonly number[]>;
  readonly texts: Map<string, string>;
  readonly types: Map<string, number>;
}

const STRING = 8;
const ARRAY = 9;
/** Bytes of the scalar types 0 to 12; strings and arrays have none. */
const SCALAR_BYTES: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
/** Figures are kept of arrays up to this length: one value a layer. */
const MOST_LAYERS = 4096;

const TEXTS: ReadonlySet<string> = new Set(['general.architecture', 'general.type', 'adapter.type']);

/** Reads metadata and tensor table, within the limits and within the file. @throws GgufFault */
export async function readGguf(readAt: ReadAt, size: number, limits: GgufLimits): Promise<GgufHeader> {
  const reader = new HeaderReader(readAt, limits);
  if ((await reader.u32()) !== 0x46554747) throw new GgufFault('not a GGUF file');
  const version = await reader.u32();
  if (version !== 2 && version !== 3) throw new GgufFault(`version ${version} is not supported`);
  const tensors = await reader.count('tensors', limits.tensors);
  const entries = await reader.count('metadata entries', limits.entries);

  const found: Metadata = {
    chatTemplate: null,
    vocabulary: 0,
    vocabularyMark: '',
    values: new Map(),
    texts: new Map(),
    types: new Map(),
  };
  for (let i = 0; i < entries; i++) {
    const key = await reader.string('key', 512);
    if (found.types.has(key)) throw new GgufFault(`${key}: stands there twice`);
    await readEntry(reader, key, found, limits);
  }
  const architecture = found.texts.get('general.architecture') ?? '';
  const [parts = 1] = found.values.get('split.count') ?? [];
  if (parts > 1) throw new SplitFault(`one of ${parts} files`);
  if (tensors === 0) throw new GgufFault('no tensors');
  if (!/^[a-z0-9_-]+$/.test(architecture)) throw new GgufFault('no architecture');
  return { ...found, architecture, tensors: await readTensors(reader, tensors, alignmentOf(found.values), size) };
}

function alignmentOf(values: ReadonlyMap<string, readonly number[]>): number {
  const [alignment = 32] = values.get('general.alignment') ?? [];
  if (!(alignment >= 8 && alignment <= 65_536 && alignment % 8 === 0))
    throw new GgufFault(`general.alignment: ${alignment}`);
  return alignment;
}

async function readEntry(reader: HeaderReader, key: string, found: Metadata, limits: GgufLimits): Promise<void> {
  const type = await reader.u32();
  found.types.set(key, type);
  if (type === STRING) {
    if (TEXTS.has(key)) found.texts.set(key, await reader.string(key, 64));
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
    if (key === 'tokenizer.ggml.tokens') found.vocabularyMark = await readTokens(reader, items);
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

/** llama.cpp asserts that no two tokens are spelt alike. @returns a mark of them all (FNV-1a, twice) */
async function readTokens(reader: HeaderReader, items: number): Promise<string> {
  const known = new Set<string>();
  let [one, other] = [0x811c9dc5, 0x1b873593];
  for (let i = 0; i < items; i++) {
    const view = await reader.take(await reader.count('tokenizer.ggml.tokens', MOST_TOKEN_BYTES));
    // Byte for byte: many tokens are no UTF-8, and must not be taken for each other.
    const token = bytewise.decode(view);
    if (known.has(token)) throw new GgufFault(`token ${i}: spelt like another`);
    known.add(token);
    for (const unit of `${token}\n`) {
      const code = unit.charCodeAt(0);
      one = Math.imul(one ^ code, 0x01000193);
      other = Math.imul(other ^ code, 0x85ebca6b);
    }
  }
  return `${one >>> 0} ${other >>> 0}`;
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
  count: number,
  alignment: number,
  size: number,
): Promise<Map<string, TensorEntry>> {
  const tensors = new Map<string, TensorEntry>();
  let total = 0;
  let end = 0;
  for (let i = 0; i < count; i++) {
    const name = await reader.string('tensor name', 512);
    if (tensors.has(name)) throw new GgufFault(`${name}: stands there twice`);
    const tensor = await readTensor(reader, name, size);
    tensors.set(name, tensor);
    const offset = await reader.count(name, size);
    if (offset % alignment !== 0) throw new GgufFault(`${name}: offset ${offset}`);
    total += tensor.bytes;
    end = Math.max(end, offset + tensor.bytes);
  }
  const data = Math.ceil(reader.offset / alignment) * alignment;
  if (data + end > size) throw new GgufFault(`tensors end at ${data + end} of ${size} bytes`);
  // Tensors that share bytes would be more than the file holds.
  if (total > size) throw new GgufFault('tensors overlap');
  return tensors;
}

async function readTensor(reader: HeaderReader, name: string, size: number): Promise<TensorEntry> {
  const dimensions = await reader.u32();
  if (dimensions < 1 || dimensions > 4) throw new GgufFault(`${name}: ${dimensions} dimensions`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.push(await reader.count(name, Number.MAX_SAFE_INTEGER));
  const elements = shape.reduce((product, length) => product * length, 1);
  // The densest type there is has about one bit an element.
  if (elements === 0 || elements > size * 16) throw new GgufFault(`${name}: ${elements} elements in ${size} bytes`);
  const type = await reader.u32();
  const block = TENSOR_TYPES.get(type);
  if (block === undefined) throw new GgufFault(`${name}: unknown tensor type ${type}`);
  const [bytes, length] = block;
  const [first = 0] = shape;
  if (first % length !== 0) throw new GgufFault(`${name}: rows of ${first} in blocks of ${length}`);
  return { shape, type, bytes: (elements / length) * bytes };
}
