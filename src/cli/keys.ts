import { join, resolve } from 'node:path';
import { makeSealKey } from '#identity/seal-key.files.ts';
import type { Invocation } from './command.ts';

/** `keys init DIR`: makes what is missing and overwrites nothing. */
export async function initKeys({ words, json }: Invocation): Promise<number> {
  const [folder] = words;
  if (folder === undefined || words.length !== 1) throw new Error('usage: strongroom keys init DIR');
  const file = join(resolve(folder), 'seal.key');
  const made = await makeSealKey(file);
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, file, made })}\n`);
  else {
    process.stdout.write(`${made ? 'Made' : 'Kept'} ${file}. Back it up: second factors can't be read without it.\n`);
    process.stdout.write(`Name it in strongroom.yaml:\n  keys:\n    sealFile: ${file}\n`);
  }
  return 0;
}
