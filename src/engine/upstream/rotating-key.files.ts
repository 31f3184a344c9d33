import { readFile } from 'node:fs/promises';
import type { Rotating } from '#engine/model-spec.ts';
import type { Log } from '#kernel/log.ts';
import { openRotating } from './rotating.files.ts';

/** What may stand in a header: anything else is no key but, say, a page of HTML. */
const KEY = /^[\x21-\x7e]{1,4096}$/;

/** An API key, read again whenever its file has changed. @throws Error when the file can't be read or holds no key */
export const openKeyFile = (file: string, log: Log): Promise<Rotating<string>> =>
  openRotating({
    files: [file],
    read: () => readKey(file),
    isSame: (one, other) => one === other,
    what: 'the key of a model server',
    log,
  });

async function readKey(file: string): Promise<string> {
  const text = (await readFile(file, 'utf8')).trim();
  if (!KEY.test(text)) throw new Error(`${file}: holds no API key`);
  return text;
}
