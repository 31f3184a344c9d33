/**
 * Writes GGUF version 3 (little endian): header, metadata, tensor table, tensor data.
 * Deterministic: the bytes depend on the arguments alone.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export type MetadataValue =
  | { readonly type: 'u32'; readonly value: number }
  | { readonly type: 'f32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'i32s'; readonly value: readonly number[] };

interface Shaped {
  readonly name: string;
  /** Fastest dimension first, as ggml counts. */
  readonly shape: readonly number[];
}

export interface Values extends Shaped {
  /** One-dimensional tensors (norms) must be f32, llama.cpp takes nothing else. */
  readonly type: 'f32' | 'f16';
  readonly values: Float32Array;
}

/** Already in blocks of 32: a scale in 16 bits and 32 signed bytes each. */
export interface Blocks extends Shaped {
  readonly type: 'q8_0';
  readonly blocks: Buffer;
}

export type Tensor = Values | Blocks;

const VALUE_TYPE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
const TENSOR_TYPE = { f32: 0, f16: 1, q8_0: 8 } as const;
const ALIGNMENT = 32;

/** Grows as it is written to; all numbers little endian. */
class ByteSink {
  readonly #chunks: Buffer[] = [];
  #length = 0;

  bytes(chunk: Buffer): this {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    return this;
  }

  u32(value: number): this {
    const chunk = Buffer.alloc(4);
    chunk.writeUInt32LE(value >>> 0);
    return this.bytes(chunk);
  }

  u64(value: number): this {
    const chunk = Buffer.alloc(8);
    chunk.writeBigUInt64LE(BigInt(value));
    return this.bytes(chunk);
  }

  f32(value: number): this {
    const chunk = Buffer.alloc(4);
    chunk.writeFloatLE(value);
    return this.bytes(chunk);
  }

  string(text: string): this {
    const chunk = Buffer.from(text, 'utf8');
    return this.u64(chunk.length).bytes(chunk);
  }

  align(): this {
    return this.bytes(Buffer.alloc((ALIGNMENT - (this.#length % ALIGNMENT)) % ALIGNMENT));
  }

  concat(): Buffer {
    return Buffer.concat(this.#chunks, this.#length);
  }
}

function writeMetadata(sink: ByteSink, entry: MetadataValue): void {
  switch (entry.type) {
    case 'u32':
      sink.u32(VALUE_TYPE.u32).u32(entry.value);
      return;
    case 'f32':
      sink.u32(VALUE_TYPE.f32).f32(entry.value);
      return;
    case 'bool':
      sink.u32(VALUE_TYPE.bool).bytes(Buffer.of(entry.value ? 1 : 0));
      return;
    case 'string':
      sink.u32(VALUE_TYPE.string).string(entry.value);
      return;
    case 'strings':
      sink.u32(VALUE_TYPE.array).u32(VALUE_TYPE.string).u64(entry.value.length);
      for (const text of entry.value) sink.string(text);
      return;
    case 'i32s':
      sink.u32(VALUE_TYPE.array).u32(VALUE_TYPE.i32).u64(entry.value.length);
      for (const value of entry.value) sink.u32(value);
  }
}

/** IEEE 754 binary16, rounded to nearest even. For finite values whose magnitude stays below 65504. */
export function toHalf(value: number): number {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  if (exponent >= 31) throw new RangeError(`${value} does not fit in 16 bits`);
  if (exponent <= 0) {
    // Subnormal: what is left of the value in steps of 2^-24.
    return sign | Math.round(Math.abs(value) * 2 ** 24);
  }
  const mantissa = bits & 0x7fffff;
  const rest = mantissa & 0x1fff;
  const half = (exponent << 10) | (mantissa >>> 13);
  const up = rest > 0x1000 || (rest === 0x1000 && (half & 1) === 1);
  return sign | (half + (up ? 1 : 0));
}

function encodeTensor(tensor: Tensor): Buffer {
  if (tensor.type === 'q8_0') return tensor.blocks;
  if (tensor.type === 'f32') {
    const data = Buffer.alloc(tensor.values.length * 4);
    tensor.values.forEach((value, index) => void data.writeFloatLE(value, index * 4));
    return data;
  }
  const data = Buffer.alloc(tensor.values.length * 2);
  // Few distinct values occur, and half of them are zero.
  const known = new Map<number, number>();
  tensor.values.forEach((value, index) => {
    if (value === 0) return;
    const half = known.get(value) ?? toHalf(value);
    known.set(value, half);
    data.writeUInt16LE(half, index * 2);
  });
  return data;
}

/** The whole file. Tensors lie in the order given, each padded to 32 bytes, as llama.cpp demands. */
export function gguf(metadata: ReadonlyMap<string, MetadataValue>, tensors: readonly Tensor[]): Buffer {
  const sink = new ByteSink().bytes(Buffer.from('GGUF')).u32(3).u64(tensors.length).u64(metadata.size);
  for (const [key, value] of metadata) writeMetadata(sink.string(key), value);

  const encoded = tensors.map(encodeTensor);
  let offset = 0;
  tensors.forEach((tensor, index) => {
    sink.string(tensor.name).u32(tensor.shape.length);
    for (const size of tensor.shape) sink.u64(size);
    sink.u32(TENSOR_TYPE[tensor.type]).u64(offset);
    offset += Math.ceil((encoded[index]?.length ?? 0) / ALIGNMENT) * ALIGNMENT;
  });
  sink.align();
  for (const data of encoded) sink.bytes(data).align();
  return sink.concat();
}
