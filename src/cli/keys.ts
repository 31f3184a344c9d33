import { userInfo } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { makeCheckpointKey } from '#audit/checkpoint-key.files.ts';
import { SYSTEM } from '#audit/event.ts';
import { loadConfig } from '#config/load.ts';
import { tokenFolder } from '#gateway-federation.ts';
import { openRotation, registerKeyBy, sealFile } from '#gateway-keys.ts';
import { makeSealKey } from '#identity/seal-key.files.ts';
import { makeFirstTokenKey, rotateTokenKeys } from '#identity/token-keys.files.ts';
import { openDirect } from './direct-record.ts';
import type { Invocation } from './verbs.ts';

/** `keys init DIR`: makes what is missing and overwrites nothing. */
export async function initKeys({ words, json }: Invocation): Promise<number> {
  const folder = resolve(words[0] ?? '');
  const file = join(folder, 'seal.key');
  const checkpointFile = join(folder, 'checkpoint.key');
  const made = await makeSealKey(file);
  const checkpointMade = await makeCheckpointKey(checkpointFile);
  const tokenFile = await makeFirstTokenKey(folder, Date.now());
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
      `Name them in strongroom.yaml:\n  keys:\n    sealFile: ${file}\n    checkpointFile: ${checkpointFile}\n    tokenDir: ${folder}\n`,
    );
  }
  return 0;
}

/**
 * `keys rotate`: new keys for tokens and for what is sealed. Gateways that run take them up by themselves; the old public
 * key of tokens stays an hour, and every second factor is sealed anew. What was interrupted is gone on with.
 */
export async function rotateKeys({ json }: Invocation): Promise<number> {
  const loaded = loadConfig();
  await using stack = new AsyncDisposableStack();
  const { pool, recorder } = await openDirect(stack, loaded);
  const facts = { os_user: userInfo().username };
  const seal = sealFile(loaded.config, loaded.base);
  const steps: string[] = [];
  for await (const step of openRotation({ file: seal, pool, recorder, facts }).run()) steps.push(step);
  const resealed = steps.filter((step) => step === 'resealed').length;
  const event = { kind: 'change', actor: SYSTEM, outcome: 'completed', request: null, facts } as const;
  await recorder.record({ ...event, action: 'keys.rotate', resource: 'keys:token' });
  const file = await rotateTokenKeys(tokenFolder(loaded.config, loaded.base), Date.now());
  const kid = basename(file).replace(/^token-|\.json$/g, '');
  await registerKeyBy(recorder, 'token', kid, { replace: true, facts });
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, file, sealFile: seal, resealed })}\n`);
  else {
    process.stdout.write(`${seal} holds a new key; ${resealed} second factors are sealed under it. Back it up.\n`);
    process.stdout.write(`Made ${file}. Tokens of the old key can be checked for another hour.\n`);
    process.stdout.write('Gateways on other machines need copies of both.\n');
  }
  return 0;
}
