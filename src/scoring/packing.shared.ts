/** Residues on the wire: exactly as many bits as their prime has, one after the other, little-endian, no padding. */

/** Bytes of `count` residues of `bits` bits. */
export const packedBytes = (count: number, bits: number): number => (count * bits) / 8;

const WORD = 2 ** 32;

/**
 * Packs 64-bit little-endian residues, given as pairs of 32-bit words.
 * `count * bits` must be a multiple of 32, `bits` between 33 and 52, or at most 32.
 */
export function pack(words: Uint32Array, bits: number): Uint8Array {
  const count = words.length / 2;
  const out = new Uint32Array((count * bits) / 32);
  const low = Math.min(bits, 32);
  const high = bits - low;
  let at = 0;
  let held = 0;
  let filled = 0;
  const push = (value: number, width: number) => {
    held |= value << filled;
    filled += width;
    if (filled < 32) return;
    out[at++] = held >>> 0;
    filled -= 32;
    held = filled === 0 ? 0 : value >>> (width - filled);
  };
  for (let index = 0; index < count; index++) {
    push(words[2 * index] as number, low);
    if (high > 0) push(words[2 * index + 1] as number, high);
  }
  return new Uint8Array(out.buffer);
}

/**
 * Unpacks into pairs of 32-bit words at `into`. False when a residue is not below `prime`: nothing that SEAL may see.
 */
export function unpack(packed: Uint8Array, bits: number, prime: number, into: Uint32Array): boolean {
  const count = into.length / 2;
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const low = Math.min(bits, 32);
  const high = bits - low;
  let at = 0;
  let held = 0;
  let filled = 0;
  const pull = (width: number): number => {
    let value: number;
    if (filled >= width) {
      value = held;
      held = width === 32 ? 0 : held >>> width;
      filled -= width;
    } else {
      const next = view.getUint32(at, true);
      at += 4;
      value = filled === 0 ? next : held | (next << filled);
      const used = width - filled;
      held = used === 32 ? 0 : next >>> used;
      filled = 32 - used;
    }
    return width === 32 ? value >>> 0 : (value & ((1 << width) - 1)) >>> 0;
  };
  const [primeHigh, primeLow] = [Math.floor(prime / WORD), prime % WORD];
  let sound = true;
  for (let index = 0; index < count; index++) {
    const lower = pull(low);
    const upper = high > 0 ? pull(high) : 0;
    if (upper > primeHigh || (upper === primeHigh && lower >= primeLow)) sound = false;
    into[2 * index] = lower;
    into[2 * index + 1] = upper;
  }
  return sound;
}
