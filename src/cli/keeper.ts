import { userInfo } from 'node:os';
import { installNextKey, prepareNextKey, readCheckpointKey } from '#audit/checkpoint-key.files.ts';
import { SYSTEM } from '#audit/event.ts';
import { signRotation } from '#audit/key-ring.shared.ts';
import { formatVerifierKey, type Signer } from '#audit/note.shared.ts';
import { nodeCrypto, nodeSigner } from '#audit/note-crypto.node.ts';
import type { RetentionReport } from '#audit/retention.ts';
import { registeredKeys } from '#audit/signing-key.postgres.ts';
import { postgresTree } from '#audit/tree.postgres.ts';
import { loadConfig } from '#config/load.ts';
import { checkpointKeyFile } from '#gateway-audit.ts';
import { openDatabase } from '#gateway-database.ts';
import { type Keeper, openKeeper, runRetention } from '#gateway-retention.ts';
import { equalBytes, toHex } from '#kernel/bytes.ts';
import { pinoLog } from '#logging/log.pino.ts';
import type { Invocation } from './verbs.ts';

/** `audit retain`, once a day from a timer: drops what is older than `audit.retentionDays`, on record. */
export async function retainCommand({ json }: Invocation): Promise<number> {
  const { config, base } = loadConfig();
  const log = pinoLog('warn');
  await using database = await openDatabase(config, base, log);
  const report = await runRetention({ config, base, database, log }, { operating_system_user: userInfo().username });
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, ...report })}\n`);
  else process.stdout.write(sayReport(report, config.audit.retentionDays));
  return 0;
}

const REASONS = {
  held: 'a legal hold',
  intents: 'a request without outcome',
  unsigned: 'no checkpoint covers it',
  incomplete: 'bodies are missing: run `strongroom audit verify`',
  due: 'it could not be locked; the next run tries again',
  open: '',
  young: '',
} as const;

function sayReport({ dropped, kept, cut, openings }: RetentionReport, days: number): string {
  const lines = dropped.map(
    ({ from, to, newest }) => `Dropped the bodies of seq ${from} to ${to - 1}, the newest of ${newest}.`,
  );
  if (dropped.length === 0) lines.push(`Nothing is older than ${days} days.`);
  if (openings > 0) lines.push(`Forgot ${openings} keys of commitments.`);
  for (const { from, to, verdict, hold } of kept)
    lines.push(`Kept seq ${from} to ${to - 1}: ${REASONS[verdict]}${hold === null ? '' : ` (${hold})`}.`);
  if (cut !== null) lines.push(`A new partition begins at seq ${cut}.`);
  return `${lines.join('\n')}\n`;
}

/**
 * `keys rotate checkpoint`: another key signs from the next checkpoint on. The record with a note of both keys is what
 * makes it so; files only follow. Killed at any point and run again, it goes on from there.
 */
export async function rotateCheckpointKey({ json, options }: Invocation): Promise<number> {
  const { config, base } = loadConfig();
  const { origin } = config.audit;
  const file = checkpointKeyFile(config, base);
  const present = nodeSigner(origin, await readCheckpointKey(file));
  const next = nodeSigner(origin, await prepareNextKey(file));
  const key = await formatVerifierKey(nodeCrypto.sha256, next);
  if (options.prepare === true) {
    say(
      json,
      { ok: true, prepared: key },
      `Made ${file}.next. Copy it beside the key of every other gateway, then rotate.`,
    );
    return 0;
  }
  const log = pinoLog('warn');
  await using database = await openDatabase(config, base, log);
  await using keeper = openKeeper({ config, base, database, log });
  await putInForce(keeper, present, next);
  const previous = await installNextKey(file);
  say(
    json,
    { ok: true, key, previous },
    `The log is signed by a new key from the next checkpoint on, which the old one signs as well:\n${key}\nThe old key is ${previous}. Destroy it when a checkpoint has been signed; its public half stays with the log.`,
  );
  return 0;
}

const say = (json: boolean, answer: object, text: string) =>
  process.stdout.write(json ? `${JSON.stringify(answer)}\n` : `${text}\n`);

/** A checkpoint that comes in between moves the size; it is asked again. */
const ATTEMPTS = 20;

async function putInForce({ pool, recorder }: Keeper, present: Signer, next: Signer): Promise<void> {
  const inForce = (await registeredKeys(pool)).at(-1);
  if (inForce === undefined) throw new Error('this log has no key yet: it gets one when the gateway first starts');
  if (equalBytes(inForce.publicKey, next.publicKey)) return;
  if (!equalBytes(inForce.publicKey, present.publicKey)) throw new Error('this is not the key that signs the log now');
  const [oldKey, newKey] = await Promise.all([present, next].map((one) => formatVerifierKey(nodeCrypto.sha256, one)));
  const reader = postgresTree(pool);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const size = (await reader.latest())?.size ?? 0;
    const note = await signRotation(nodeCrypto, present, next, size);
    const { verdict, code } = await recorder.change(
      'signing_key.rotate',
      { key: toHex(next.publicKey), size, note },
      {
        kind: 'change',
        actor: SYSTEM,
        action: 'keys.rotate',
        resource: 'keys:checkpoint',
        outcome: 'completed',
        request: null,
        facts: {
          operating_system_user: userInfo().username,
          old_key: oldKey,
          new_key: newKey,
          after: size,
          statement: note,
        },
      },
    );
    if (verdict === 'changed') return;
    if (code === 'unfinished') {
      throw new Error('no checkpoint of the present key has been signed yet: start a gateway and try again');
    }
  }
  throw new Error('checkpoints came too fast to put another key between them: try again');
}
