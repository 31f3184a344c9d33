import { equalBytes, fromHex, toHex } from '#kernel/bytes.ts';

/**
 * Strongroom's frame for encrypted scoring, version 1. A header of 104 bytes, then the objects as
 * packed residues and seeds; nothing in it is compressed, optional or of variable length.
 *
 * | at | bytes | what |
 * | --- | --- | --- |
 * | 0 | 4 | `CKS1` |
 * | 4 | 1 | kind: 1 evaluation keys, 2 one customer, 3 a batch of customers, 4 a result |
 * | 5 | 1 | 0 |
 * | 6 | 2 | number of objects |
 * | 8 | 4 | customers whose features are inside |
 * | 12 | 4 | 0 |
 * | 16 | 32 | SHA-256 of the parameter set's document |
 * | 48 | 32 | SHA-256 of the model's document |
 * | 80 | 16 | session |
 * | 96 | 8 | bytes that follow |
 *
 * All numbers are little-endian.
 */
export const FRAME_HEAD = 104;
export const FRAME_TYPE = 'application/vnd.strongroom.ckks; v=1';

export const FRAME_KINDS = { keys: 1, single: 2, batch: 3, result: 4 } as const;
export type FrameKind = keyof typeof FRAME_KINDS;

export interface FrameHead {
  readonly kind: FrameKind;
  readonly objects: number;
  readonly customers: number;
  /** Lower-case hex. */
  readonly paramsHash: string;
  readonly modelHash: string;
  /** 32 hex digits. */
  readonly session: string;
  /** Bytes after the header. */
  readonly length: number;
}

export function encodeFrame(head: Omit<FrameHead, 'length'>, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD + payload.length);
  const view = new DataView(frame.buffer);
  frame.set(MAGIC);
  view.setUint8(4, FRAME_KINDS[head.kind]);
  view.setUint16(6, head.objects, true);
  view.setUint32(8, head.customers, true);
  frame.set(bytesOf(head.paramsHash, 32), 16);
  frame.set(bytesOf(head.modelHash, 32), 48);
  frame.set(bytesOf(head.session, 16), 80);
  view.setBigUint64(96, BigInt(payload.length), true);
  frame.set(payload, FRAME_HEAD);
  return frame;
}

/** Null for anything that is not a whole frame with every reserved byte zero and the length that it says. */
export function decodeFrame(frame: Uint8Array): { readonly head: FrameHead; readonly payload: Uint8Array } | null {
  if (frame.length < FRAME_HEAD || !equalBytes(frame.subarray(0, 4), MAGIC)) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const code = view.getUint8(4);
  const kind = (Object.keys(FRAME_KINDS) as FrameKind[]).find((name) => FRAME_KINDS[name] === code);
  const payload = frame.subarray(FRAME_HEAD);
  if (kind === undefined || view.getUint8(5) !== 0 || view.getUint32(12, true) !== 0) return null;
  if (view.getBigUint64(96, true) !== BigInt(payload.length)) return null;
  const head: FrameHead = {
    kind,
    objects: view.getUint16(6, true),
    customers: view.getUint32(8, true),
    paramsHash: toHex(frame.subarray(16, 48)),
    modelHash: toHex(frame.subarray(48, 80)),
    session: toHex(frame.subarray(80, 96)),
    length: payload.length,
  };
  return { head, payload };
}

const MAGIC = Uint8Array.of(0x43, 0x4b, 0x53, 0x31);

function bytesOf(hex: string, length: number): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes === null || bytes.length !== length) throw new RangeError(`${length} bytes in hex were expected`);
  return bytes;
}
