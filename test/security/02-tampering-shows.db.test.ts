import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { signCheckpoint } from '#audit/checkpoint.shared.ts';
import type { FindingKind } from '#audit/log-check.ts';
import type { Signer } from '#audit/note.shared.ts';
import { nodeCrypto, sha256 } from '#audit/note-crypto.node.ts';
import type { VerifyResult } from '#audit/verify.service.ts';
import { type Estate, openEstate, type TestGateway } from '../fakes/ledger-estate.ts';
import { admit } from '../fakes/ledger-items.ts';
import { answer, newSigner, notes, sign, verifyEstate } from '../fakes/signed-log.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

/** Everything is done as superuser, who passes every trigger, grant and policy. */
const AS_DBA = 'SET LOCAL session_replication_role = replica';
const LEAF = "sha256('\\x00'::bytea || convert_to(record, 'UTF8'))";

describe('promise 2: tampering shows', () => {
  let cluster: TestCluster;
  let estate: Estate;
  let gateway: TestGateway;
  let signer: Signer;
  let head: { size: number; root: Uint8Array };

  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  /** 44 records, signed at 20, 33 and 40. */
  const open = async () => {
    estate = await openEstate(cluster);
    gateway = estate.gateway('gw_1');
    signer = newSigner();
    await estate.dba.query('UPDATE tree SET epoch = 1');
    await answer(estate, gateway, 10);
    await sign(estate, signer);
    await notes(gateway, 13);
    await sign(estate, signer);
    await notes(gateway, 7);
    head = await sign(estate, signer);
    await notes(gateway, 4);
  };
  const attack = async (...statements: string[]) => {
    await estate.dba.lend(async (client) => {
      await client.query(`BEGIN; ${AS_DBA}`);
      for (const statement of statements) await client.query(statement);
      await client.query('COMMIT');
    });
  };
  const verify = (options: Parameters<typeof verifyEstate>[2] = {}) => verifyEstate(estate, signer, options);
  const found = ({ findings }: VerifyResult) => findings.map(({ kind, seq, to }) => `${kind} ${seq}-${to}`);
  const detected = async (
    kind: FindingKind,
    seq: number,
    to = seq,
    options: Parameters<typeof verifyEstate>[2] = {},
  ) => {
    const result = await verify(options);
    assert.equal(result.ok, false);
    assert.ok(found(result).includes(`${kind} ${seq}-${to}`), `${kind} ${seq}-${to} is not in ${found(result)}`);
    return result;
  };
  const attacked = (name: string, work: () => Promise<void>) =>
    it(name, async () => {
      await open();
      await using _ = estate;
      await work();
    });

  attacked('a log that nobody touched is clean, whole and in every range', async () => {
    const whole = await verify();
    assert.deepEqual(whole.findings, []);
    assert.equal(whole.ok, true);
    assert.deepEqual([whole.records, whole.checkpoints, whole.unsigned, whole.openCount], [44, 3, 4, 0]);
    for (const [from, to] of [
      [0, 1],
      [7, 33],
      [21, 22],
      [39, 44],
      [44, 44],
      [5, 1000],
    ] as const) {
      assert.deepEqual((await verify({ from, to })).findings, [], `${from}-${to}`);
    }
    assert.deepEqual((await verify({ remembered: [head] })).findings, []);
    // Ten intents, then ten outcomes: those of this range are settled behind it.
    assert.deepEqual((await verify({ from: 2, to: 8 })).openCount, 0);
  });

  attacked('an intent that still runs is reported and no fault', async () => {
    await gateway.commit([admit(estate.who)]);
    const result = await verify();
    assert.deepEqual([result.ok, result.open], [true, [44]]);
    await attack('DELETE FROM open_intent');
    await detected('pair', 44);
  });

  attacked('a row edited: its leaf', async () => {
    await attack(
      `UPDATE entry SET record = replace(record, '"actor":"usr_0"', '"actor":"usr_9"'), actor = 'usr_9' WHERE seq = 6`,
    );
    const result = await detected('leaf', 6);
    assert.equal(result.first?.seq, 6);
  });

  attacked('a row edited with its leaf hash: the tree over it', async () => {
    await attack(
      `UPDATE entry SET record = replace(record, 'note', 'nope'), action = 'nope' WHERE seq = 25`,
      `UPDATE leaf SET hash = (SELECT ${LEAF} FROM entry e WHERE e.seq = 25) WHERE seq = 25`,
    );
    assert.deepEqual(found(await detected('node', 24, 25)), ['node 24-25']);
  });

  for (const [column, value] of [
    ['at', "at + interval '1 second'"],
    ['at', "at + interval '1 microsecond'"],
    ['at', "'infinity'"],
    ['at', "((at AT TIME ZONE 'UTC')::text || ' BC')::timestamp AT TIME ZONE 'UTC'"],
    ['actor', "'usr_9'"],
    ['action', "'x'"],
    ['kind', "'x'"],
    ['resource', "'x'"],
    ['outcome', "'x'"],
    ['request_id', "'req_9'"],
    ['request_id', 'NULL'],
  ] as const) {
    attacked(`the search column ${column} edited to ${value}`, async () => {
      await attack(`UPDATE entry SET ${column} = ${value} WHERE seq = 5`);
      const result = await detected('column', 5);
      assert.match(result.first?.detail ?? '', new RegExp(`column ${column} `));
    });
  }

  attacked('the column event_id of an intent edited', async () => {
    await attack(`UPDATE entry SET event_id = gen_random_uuid() WHERE seq = 3`);
    assert.deepEqual(found(await detected('pair', 3)), ['pair 3-3']);
  });

  attacked('a row deleted, with and without its leaf', async () => {
    await attack('DELETE FROM entry WHERE seq = 7');
    await detected('missing', 7);
    await attack('DELETE FROM leaf WHERE seq = 7');
    assert.equal((await detected('missing', 7)).first?.seq, 7);
  });

  attacked('an outcome deleted: it is named, and its intent after it, which has none now', async () => {
    await attack('DELETE FROM entry WHERE seq = 15', 'DELETE FROM leaf WHERE seq = 15');
    const result = await detected('missing', 15);
    assert.deepEqual([result.first?.kind, result.first?.seq], ['missing', 15]);
    assert.deepEqual(found(result), ['missing 15-15', 'pair 5-5']);
    await attack("UPDATE entry SET record = 'x' WHERE seq = 14");
    assert.equal((await verify()).first?.seq, 14);
  });

  attacked('the last rows deleted, also with the head, the nodes and the checkpoints over them', async () => {
    const cut = (size: number) => [
      `DELETE FROM entry WHERE seq >= ${size}`,
      `DELETE FROM leaf WHERE seq >= ${size}`,
      `DELETE FROM open_intent WHERE seq >= ${size}`,
    ];
    await attack(...cut(42));
    await detected('missing', 42);
    await attack(`UPDATE head SET size = 42`);
    await detected('cut', 42, 43, { remembered: [{ size: 44, root: head.root }] });
    await attack(...cut(36), `UPDATE head SET size = 36`);
    await detected('cut', 36, 39);
    await attack('DELETE FROM checkpoint WHERE size > 36');
    await detected('cut', 36, 39);
    await attack('DELETE FROM tree_node WHERE (index + 1) << level > 36', 'UPDATE tree SET size = 36');
    // Now the database alone can't know: this is a restored backup. Who kept a checkpoint does.
    assert.deepEqual((await verify()).findings, []);
    await detected('cut', 36, 39, { remembered: [head] });
  });

  attacked('a database rolled back to a backup and grown again: the remembered root', async () => {
    await attack(
      'DELETE FROM entry WHERE seq >= 36',
      'DELETE FROM leaf WHERE seq >= 36',
      'DELETE FROM checkpoint WHERE size > 36',
      'DELETE FROM tree_node WHERE (index + 1) << level > 36',
      'UPDATE tree SET size = 36',
      'UPDATE head SET size = 36',
    );
    await notes(gateway, 9);
    await sign(estate, signer);
    assert.deepEqual((await verify()).findings, []);
    await detected('root', 33, 39, { remembered: [head] });
  });

  attacked('two rows swapped', async () => {
    await attack(
      `UPDATE entry e SET record = o.record, event_id = o.event_id, at = o.at FROM entry o
       WHERE e.seq IN (22, 28) AND o.seq = 50 - e.seq`,
    );
    const result = await detected('record', 22);
    assert.ok(found(result).includes('record 28-28'));
    assert.equal(result.first?.seq, 22);
    await attack(`UPDATE leaf l SET hash = o.hash FROM leaf o WHERE l.seq IN (22, 28) AND o.seq = 50 - l.seq`);
    assert.equal((await detected('node', 22, 23)).first?.seq, 22);
  });

  attacked('a row inserted in the middle, the others moved up', async () => {
    const moved = `replace(record, '"seq":' || seq, '"seq":' || (seq + 1))`;
    await attack(
      `CREATE TEMP TABLE moved AS SELECT * FROM entry WHERE seq >= 30`,
      'DELETE FROM entry WHERE seq >= 30',
      `INSERT INTO entry SELECT seq + 1, at, event_id, kind, actor, action, resource, outcome, request_id, ${moved} FROM moved`,
      `INSERT INTO entry SELECT seq, at, gen_random_uuid(), kind, actor, action, resource, outcome, request_id, replace(record, '"n"', '"m"') FROM moved WHERE seq = 30`,
      'DELETE FROM leaf WHERE seq >= 30',
      `INSERT INTO leaf SELECT seq, ${LEAF} FROM entry WHERE seq >= 30`,
      'UPDATE head SET size = 45',
    );
    assert.equal((await detected('node', 30, 31)).first?.seq, 30);
  });

  attacked('a row added at the end without the one way in', async () => {
    await attack(
      `INSERT INTO entry SELECT 44, at, gen_random_uuid(), kind, actor, action, resource, outcome, request_id, replace(record, '"seq":43', '"seq":44') FROM entry WHERE seq = 43`,
      `INSERT INTO leaf SELECT seq, ${LEAF} FROM entry WHERE seq = 44`,
    );
    await detected('beyond', 44);
  });

  const rewriteAll = () =>
    attack(
      `UPDATE entry SET record = replace(record, 'note', 'nope'), action = 'nope' WHERE seq = 25`,
      `UPDATE leaf SET hash = (SELECT ${LEAF} FROM entry e WHERE e.seq = 25) WHERE seq = 25`,
      'DELETE FROM tree_node',
      'UPDATE tree SET size = 0',
      'SELECT * FROM extend_tree((SELECT epoch FROM tree), 40)',
    );

  attacked('rows and stored nodes rewritten together: the signed root between two checkpoints', async () => {
    await rewriteAll();
    const result = await detected('root', 20, 32);
    assert.deepEqual(found(result), ['root 20-32']);
    assert.match(result.first?.detail ?? '', /signed at size 33/);
    // A range that does not hold the edited record is tied to the signed tree all the same.
    assert.equal((await verify({ from: 0, to: 5 })).ok, true);
    assert.equal((await verify({ from: 34, to: 36 })).ok, false);
  });

  attacked('all rewritten, checkpoints with it: their signatures', async () => {
    await rewriteAll();
    const thief = newSigner(signer.name);
    await attack('DELETE FROM checkpoint');
    await sign(estate, thief);
    const size = Number(await estate.value('SELECT max(size) FROM checkpoint'));
    const result = await detected('checkpoint', size - 1);
    assert.match(result.first?.detail ?? '', /not signed by this key/);
    await detected('root', 0, 39, { remembered: [head] });
  });

  attacked('a checkpoint forged or replaced: its signature, its copies', async () => {
    const note = await estate.value<string>('SELECT note FROM checkpoint WHERE size = 33');
    await attack(`UPDATE checkpoint SET note = replace(note, E'\\n33\\n', E'\\n32\\n') WHERE size = 33`);
    await detected('checkpoint', 32);
    await estate.dba.query(
      `SET session_replication_role = replica; UPDATE checkpoint SET note = '${note}' WHERE size = 33`,
    );
    assert.deepEqual((await verify()).findings, []);
    await attack(`UPDATE checkpoint SET root = sha256('x') WHERE size = 33`);
    assert.match((await detected('checkpoint', 32)).first?.detail ?? '', /column root/);
    await attack(
      `UPDATE checkpoint c SET note = o.note, root = o.root FROM checkpoint o WHERE c.size = 33 AND o.size = 20`,
    );
    assert.match((await detected('checkpoint', 32)).first?.detail ?? '', /says size 20/);
  });

  attacked('a checkpoint of a tree that never was, signed by the right key', async () => {
    const root = sha256(Buffer.from('another tree'));
    const note = await signCheckpoint(nodeCrypto, { origin: signer.name, size: 38, root }, signer);
    await attack(`INSERT INTO checkpoint VALUES (38, '\\x${Buffer.from(root).toString('hex')}', '${note}', 1, now())`);
    await detected('root', 33, 37);
  });

  attacked('a node of the tree changed or lost', async () => {
    await attack(`UPDATE tree_node SET hash = sha256('x') WHERE level = 2 AND index = 3`);
    await detected('node', 12, 15);
    await attack('DELETE FROM tree_node WHERE level = 2 AND index = 3');
    await detected('node', 12, 15);
    // Where a range begins above it, it is read to go on from.
    await attack('DELETE FROM tree_node WHERE level = 4 AND index = 0');
    await detected('node', 0, 15, { from: 16 });
  });

  attacked('more than fits into a page', async () => {
    for (let n = 0; n < 36; n++) await notes(gateway, 256);
    await sign(estate, signer);
    assert.deepEqual((await verify()).findings, []);
    await attack(
      `UPDATE entry SET record = replace(record, 'note', 'nope'), action = 'nope' WHERE seq = 7001`,
      `UPDATE leaf SET hash = (SELECT ${LEAF} FROM entry e WHERE e.seq = 7001) WHERE seq = 7001`,
    );
    assert.deepEqual(found(await detected('node', 7000, 7001)), ['node 7000-7001']);
    assert.deepEqual((await verify({ from: 7002, to: 8000 })).findings, []);
    assert.equal((await verify({ from: 6900, to: 7100 })).first?.seq, 7000);
  });
});
