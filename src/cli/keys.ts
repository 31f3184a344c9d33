import { join, resolve } from 'node:path';
import { makeCheckpointKey } from '#audit/checkpoint-key.files.ts';
import { loadConfig } from '#config/load.ts';
import { tokenFolder } from '#gateway-federation.ts';
import { makeSealKey } from '#identity/seal-key.files.ts';
import { makeFirstTokenKey, rotateTokenKeys } from '#identity/token-keys.files.ts';
import type { Invocation } from './command.ts';
import { recordDirectly } from './direct-record.ts';

/** `keys init DIR`: makes what is missing and overwrites nothing. */
export async function initKeys({ words, json }: Invocation): Promise<number> {
  const [folder] = words;
  if (folder === undefined || words.length !== 1) throw new Error('usage: strongroom keys init DIR');
  const file = join(resolve(folder), 'seal.key');
  const checkpointFile = join(resolve(folder), 'checkpoint.key');
  const made = await makeSealKey(file);
  const checkpointMade = await makeCheckpointKey(checkpointFile);
  const tokenFile = await makeFirstTokenKey(resolve(folder), Date.now());
  if (json) {
    const keys = { file, made, checkpointFile, checkpointMade, tokenFile };
    process.stdout.write(`${JSON.stringify({ ok: true, ...keys })}\n`);
  } else {
    process.stdout.write(`${made ? 'Made' : 'Kept'} ${file}. Back it up: second factors can't be read without it.\n`);
    process.stdout.write(
      `${checkpointMade ? 'Made' : 'Kept'} ${checkpointFile}. Back it up, out of the reach of who administers the database.\n`,
    );
    process.stdout.write(`${tokenFile === null ? 'Kept the key that signs' : `Made ${tokenFile} for`} tokens.\n`);
    process.stdout.write(
      `Name them in strongroom.yaml:\n  keys:\n    sealFile: ${file}\n    checkpointFile: ${checkpointFile}\n    tokenDir: ${resolve(folder)}\n`,
    );
  }
  return 0;
}

/** `keys rotate`: a new key for tokens. Gateways that run take it up by themselves; the old public key stays an hour. */
export async function rotateKeys({ json }: Invocation): Promise<number> {
  const loaded = loadConfig();
  await recordDirectly(loaded, 'keys.rotate', 'keys:token');
  const file = await rotateTokenKeys(tokenFolder(loaded.config, loaded.base), Date.now());
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, file })}\n`);
  else process.stdout.write(`Made ${file}. Tokens of the old key can be checked for another hour.\n`);
  return 0;
}
