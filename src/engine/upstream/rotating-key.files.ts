import { readFile } from 'node:fs/promises';
import type { Rotating } from '#engine/model-spec.ts';
import type { Log } from '#kernel/log.ts';
import { openRotating } from './rotating.files.ts';

/** What may stand in a header: anything else is no key but, say, a page of HTML. */
const KEY = /^[\x21-\x7e]{1,4096}$/;

/** What the key is, for the log, and how many characters it has at least. */
const MODEL_SERVER = { what: 'the key of a model server', least: 1 } as const;

/** A key in a file, read again whenever that has changed. @throws Error when the file can't be read or holds no key */
export const openKeyFile = (
  file: string,
  log: Log,
  { what, least } = MODEL_SERVER as { what: string; least: number },
): Promise<Rotating<string>> =>
  openRotating({
    files: [file],
    read: () => readKey(file, least),
    isSame: (one, other) => one === other,
    what,
    log,
  });

async function readKey(file: string, least: number): Promise<string> {
  const text = (await readFile(file, 'utf8')).trim();
  if (!KEY.test(text)) throw new Error(`${file}: holds no API key`);
  if (text.length < least) throw new Error(`${file}: has to hold ${least} characters at least`);
  return text;
}
