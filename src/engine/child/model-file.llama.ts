import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { ReadAt } from '#engine/gguf/gguf-reader.ts';
import type { ApprovedFileMessage, LoadFailure, LoadMessage } from '#engine/llama/protocol.contract.ts';

/** Why a load fails, as the parent is told. */
export class LoadError extends Error {
  readonly reason: LoadFailure;
  constructor(reason: LoadFailure, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A file that is open and has the approved digest: what is parsed are the bytes that were read for it. */
export interface VerifiedFile extends AsyncDisposable {
  readonly readAt: ReadAt;
  readonly size: number;
}

/** @throws LoadError when it can't be read or its bytes are not the approved ones */
export async function openVerified(
  { file, sha256, verified }: ApprovedFileMessage,
  progress: (done: number) => void,
): Promise<VerifiedFile> {
  const handle = await open(file).catch((error: Error) => {
    throw new LoadError('unreadable', error.message);
  });
  try {
    const { size } = await handle.stat();
    if (!verified) await verify(handle, size, sha256, progress);
    const readAt = async (offset: number, length: number) => {
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    return { readAt, size, [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function verify(file: FileHandle, size: number, sha256: string, progress: (done: number) => void): Promise<void> {
  const hash = createHash('sha256');
  let read = 0;
  for await (const chunk of file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 })) {
    hash.update(chunk);
    read += chunk.length;
    progress(Math.min(1, read / size));
  }
  const found = hash.digest('hex');
  if (found !== sha256) throw new LoadError('digest_mismatch', `the file's SHA-256 is ${found}`);
}

/** The pinned one, or the file's own where an admin approved exactly that. */
export function templateOf({ chatTemplate, approvedTemplateSha256 }: LoadMessage, own: string | null): string {
  if (chatTemplate !== null) return chatTemplate;
  const found = own === null ? 'none' : createHash('sha256').update(own).digest('hex');
  if (own === null || found !== approvedTemplateSha256)
    throw new LoadError('template', `the SHA-256 of the file's own template is ${found}`);
  return own;
}
