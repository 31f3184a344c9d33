import type { VectorEvent } from './engine.ts';

/** What a child says of a vector; the schema has seen that it is Base64. Bytes that are no whole float are not read. */
export function vectorOf({ index, values }: { readonly index: number; readonly values: string }): VectorEvent {
  const bytes = Buffer.from(values, 'base64');
  return {
    type: 'vector',
    index,
    values: Float32Array.from({ length: bytes.length >> 2 }, (_, at) => bytes.readFloatLE(at * 4)),
  };
}

/** 32-bit floats, least byte first, in Base64: on the way from a child, and OpenAI's `encoding_format: "base64"`. */
export function vectorText(values: Iterable<number> & { readonly length: number }): string {
  const bytes = Buffer.alloc(values.length * 4);
  let at = 0;
  for (const value of values) at = bytes.writeFloatLE(value, at);
  return bytes.toString('base64');
}
