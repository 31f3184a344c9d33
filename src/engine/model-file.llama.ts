import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { checkGguf, type GgufFacts } from './gguf-header.ts';
import type { ChildMessage, LoadFailure, LoadMessage } from './protocol.contract.ts';

/** Often enough for a bar, seldom enough to cost nothing. */
export const PROGRESS_MS = 200;

/** Why a model is not loaded. */
export class LoadError extends Error {
  readonly reason: LoadFailure;
  constructor(reason: LoadFailure, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** @throws LoadError when the bytes are not the approved ones */
export async function verify(file: FileHandle, sha256: string, send: (message: ChildMessage) => void): Promise<void> {
  const hash = createHash('sha256');
  const { size } = await file.stat();
  let [read, told] = [0, performance.now()];
  for await (const chunk of file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 })) {
    hash.update(chunk);
    read += chunk.length;
    if (performance.now() - told < PROGRESS_MS) continue;
    told = performance.now();
    send({ t: 'progress', phase: 'verify', done: Math.min(1, read / size) });
  }
  const found = hash.digest('hex');
  if (found !== sha256) throw new LoadError('digest_mismatch', `the file's SHA-256 is ${found}`);
}

export async function checkHeader(file: FileHandle): Promise<GgufFacts> {
  const readAt = async (offset: number, length: number) => {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  };
  return checkGguf(readAt, (await file.stat()).size);
}

/** The pinned one, or the file's own where an admin approved exactly that. */
export function templateOf({ chatTemplate, approvedTemplateSha256 }: LoadMessage, own: string | null): string {
  if (chatTemplate !== null) return chatTemplate;
  const found = own === null ? 'none' : createHash('sha256').update(own).digest('hex');
  if (own === null || found !== approvedTemplateSha256)
    throw new LoadError('template', `the SHA-256 of the file's own template is ${found}`);
  return own;
}
