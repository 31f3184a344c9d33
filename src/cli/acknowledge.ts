import { userInfo } from 'node:os';
import { SYSTEM } from '#audit/event.ts';
import { fileMemory, replaceMemory } from '#audit/memory.files.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { postgresTree } from '#audit/tree.postgres.ts';
import { LogFault } from '#audit/tree.ts';
import { headOf, TreeGuard } from '#audit/tree-guard.service.ts';
import { loadConfig } from '#config/load.ts';
import { memoryFile, openSigningKeys } from '#gateway-audit.ts';
import { openDatabase, openPools } from '#gateway-database.ts';
import { toBase64 } from '#kernel/bytes.ts';
import { pinoLog } from '#logging/log.pino.ts';
import { directRecorder } from './direct-record.ts';
import type { Invocation } from './verbs.ts';

const MAX_REASON = 500;

/**
 * `audit acknowledge --reason TEXT`: goes on with a log that is not the one that this gateway has seen before. First the
 * record in that log, of what was remembered and of what is there; only then the memory.
 */
export async function acknowledge({ options, json }: Invocation): Promise<number> {
  const said = options.reason?.trim() ?? '';
  if (said === '') throw new Error('usage: strongroom audit acknowledge --reason TEXT');
  if (said.length > MAX_REASON) throw new Error(`a reason has at most ${MAX_REASON} characters`);
  const { config, base } = loadConfig();
  const log = pinoLog(config.log.level);
  const { origin } = config.audit;
  const { sha256 } = nodeCrypto;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openDatabase(config, base, log));
  const pools = openPools(database, config, log);
  stack.defer(() => Promise.all(Object.values(pools).map((pool) => pool.close())).then(() => undefined));
  await openSigningKeys({ config, base, database, pool: pools.read });
  const reader = postgresTree(pools.read);
  const file = memoryFile(config, base);
  // One that can't be read can't be compared either; that it was so is what the record says.
  const remembered = await fileMemory(file)
    .load()
    .catch(() => 'unreadable' as const);
  if (remembered !== 'unreadable') {
    const memory = { load: async () => remembered, save: async () => undefined };
    const fault = await TreeGuard.open({ memory, reader, origin, sha256 }).then(() => null, onlyFault);
    if (fault === null) throw new Error('there is nothing to acknowledge: the log is the one that was seen before');
  }
  const head = await headOf({ reader, sha256 });
  const recorder = directRecorder(stack, pools.commit, config.quota.timeZone, log);
  const before = remembered === null || remembered === 'unreadable' ? null : remembered;
  await recorder.record({
    kind: 'system',
    actor: SYSTEM,
    action: 'audit.acknowledge',
    resource: `log:${origin}`,
    outcome: 'completed',
    request: null,
    facts: {
      reason: said,
      operating_system_user: userInfo().username,
      remembered_origin: before?.origin ?? null,
      remembered_size: before?.size ?? null,
      remembered_root: before === null ? null : toBase64(before.root),
      found_size: head.size,
      found_root: toBase64(head.root),
    },
  });
  await replaceMemory(file, { ...head, origin });
  const answer = { ok: true, remembered: before?.size ?? null, found: head.size };
  if (json) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else
    process.stdout.write(
      `Recorded. This gateway had seen ${answer.remembered ?? 'an unknown number of'} records and goes on from ${head.size}.\n`,
    );
  return 0;
}

function onlyFault(thrown: unknown): LogFault {
  if (thrown instanceof LogFault) return thrown;
  throw thrown;
}
