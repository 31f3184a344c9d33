/** A sound model file, spoilt in many ways: the same seed spoils it the same way. */
export interface Mutation {
  readonly name: string;
  readonly bytes: Buffer;
}

/** xorshift32: small, and the same everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Numbers on which parsers break. */
const NASTY = [
  0n,
  1n,
  2n,
  0x7fn,
  0xffn,
  0xffffn,
  0x7fffffffn,
  0xffffffffn,
  1n << 32n,
  1n << 33n,
  1n << 62n,
  (1n << 64n) - 1n,
];

/** @param header bytes from the start in which most of the damage is done */
export function* mutations(sound: Buffer, header: number, seed: number, count: number): Generator<Mutation> {
  const random = randomFrom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  for (let at = 0; at < count; at++) {
    const kind = at % 6;
    const place = below(header - 8);
    const bytes = Buffer.from(sound);
    switch (kind) {
      case 0:
        bytes[place] = (bytes[place] ?? 0) ^ (1 << below(8));
        break;
      case 1:
        bytes.writeBigUInt64LE(NASTY[below(NASTY.length)] ?? 0n, place);
        break;
      case 2:
        bytes.writeUInt32LE(Number((NASTY[below(NASTY.length)] ?? 0n) & 0xffffffffn), place);
        break;
      case 3:
        for (let more = 0; more < 8; more++) bytes[below(header)] = below(256);
        break;
      case 4: {
        const length = 1 + below(64);
        bytes.copyWithin(place, below(header - length), below(header));
        break;
      }
      default:
        yield {
          name: `${at}: cut off at ${place}`,
          bytes: bytes.subarray(0, below(2) === 0 ? place : below(sound.length)),
        };
        continue;
    }
    yield { name: `${at}: kind ${kind} at ${place}`, bytes };
  }
}

/** Where the tensors' data begins, roughly: behind the last tensor's name. */
export const headerOf = (sound: Buffer, lastTensor: string): number =>
  sound.lastIndexOf(lastTensor, Math.min(sound.length, 1 << 20)) + lastTensor.length + 40;
