import { generateKeyPairSync } from 'node:crypto';
import { signCheckpoint } from '#audit/checkpoint.shared.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { RootBuilder } from '#audit/merkle.shared.ts';
import type { Signer } from '#audit/note.shared.ts';
import { nodeCrypto, nodeSigner, sha256 } from '#audit/note-crypto.node.ts';
import { type VerifyDeps, type VerifyRange, type VerifyResult, verifyLog } from '#audit/verify.service.ts';
import type { Estate, TestGateway } from './ledger-estate.ts';
import { admit, note, settle } from './ledger-items.ts';

export const newSigner = (name = 'bank.example/strongroom'): Signer =>
  nodeSigner(name, generateKeyPairSync('ed25519').privateKey);

/** `count` answered requests, two records each. */
export async function answer(estate: Estate, { commit }: TestGateway, count: number): Promise<void> {
  for (let n = 0; n < count; n += 64) {
    const intents = Array.from({ length: Math.min(64, count - n) }, () => admit(estate.who));
    await commit(intents);
    await commit(intents.map((intent) => settle(intent)));
  }
}

/** `count` records of another kind. */
export const notes = ({ commit }: TestGateway, count: number) =>
  commit(Array.from({ length: count }, (_, n) => note('note', { n })));

/** What a leader does: extends the tree over all that is there, and signs it. As superuser. */
export async function sign({ dba, value }: Estate, signer: Signer): Promise<{ size: number; root: Uint8Array }> {
  const size = Number(await value('SELECT o_size FROM extend_tree((SELECT epoch FROM tree), 10000000)'));
  const builder = await RootBuilder.resume(sha256, size, async (level, index) =>
    value<Buffer>('SELECT hash FROM tree_nodes(ARRAY[$1::int], ARRAY[$2::bigint])', [level, index]),
  );
  const root = builder.root();
  const signed = await signCheckpoint(nodeCrypto, { origin: signer.name, size, root }, signer);
  await dba.query('SELECT put_checkpoint((SELECT epoch FROM tree), $1, $2, $3)', [size, root, signed]);
  return { size, root };
}

/** As the command does, through the migrator's login. */
export async function verifyEstate(
  estate: Estate,
  key: VerifyDeps['key'],
  range: VerifyRange & Pick<VerifyDeps, 'remembered'> = {},
): Promise<VerifyResult> {
  await using source = await openPostgresLog(estate.database.migrateUrl);
  return await verifyLog({ source, crypto: nodeCrypto, key, remembered: range.remembered ?? [] }, range);
}
