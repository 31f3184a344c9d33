import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { checkUpperTiles, readEntries, readNote, rootOver } from '../fakes/tlog-reader.ts';
import { eventually, present, temporaryFolder } from '../harness/gateway.ts';
import { GatewayProcess, PROGRAM, runStrongroom } from '../harness/gateway-process.ts';

const ASK = { model: 'demo', messages: [{ role: 'user', content: 'Was this answered? 真的吗' }], max_tokens: 8 };

/** Issue 6: a stranger with only an export folder and the verifier key. By then the gateway is gone, its data deleted. */
describe('a stranger with an export and the key alone', () => {
  let folder: string;
  let key: string;
  let receipt: {
    checkpoint: string;
    intent: { seq: number; record: string };
    outcome: { seq: number; record: string };
  };
  const at = (name: string) => join(folder, name);

  before(async () => {
    folder = await temporaryFolder();
    await mkdir(at('empty'));
    await using gateway = await GatewayProcess.start();
    const { username, password } = gateway.account('analyst');
    const login = await gateway.client.post('/auth/login', { username, password });
    const headers = { authorization: `Bearer ${login.json()['token']}` };
    const answer = await gateway.client.post('/v1/chat/completions', ASK, headers);
    assert.equal(answer.status, 200, answer.text);
    const text = await eventually(async () => {
      const got = await gateway.client.get(String(answer.headers['x-audit-receipt']), headers);
      return got.status === 200 && JSON.parse(got.text).outcome !== null && got.text;
    });
    receipt = JSON.parse(text);
    // Enough for more than one tile, after the receipt's checkpoint.
    const reader = gateway.account('auditor');
    const entered = await gateway.client.post('/auth/login', { username: reader.username, password: reader.password });
    const reading = { authorization: `Bearer ${entered.json()['token']}` };
    for (let n = 0; n < 150; n++) await gateway.client.get('/audit/events?limit=1', reading);
    const { size } = readHead(receipt.checkpoint);
    await eventually(async () => {
      const [row] = await gateway.database.sql<{ size: string }>('SELECT size FROM latest_checkpoint()');
      return Number(row?.size) > Math.max(size, 300);
    });
    const here = (...args: string[]) =>
      runStrongroom(['audit', ...args], { STRONGROOM_DATA_DIR: gateway.dataDir }, folder);
    key = (await here('key')).stdout.trim();
    for (const format of ['jsonl', 'tiles']) {
      const written = await here('export', '--format', format, '--out', at(format));
      assert.equal(written.code, 0, written.stderr);
    }
    await writeFile(at('receipt.json'), text);
    await writeFile(at('prompt.json'), JSON.stringify(ASK));
    await writeFile(at('answer.json'), answer.text);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const readHead = (note: string) => ({ size: Number(note.split('\n')[1]) });

  /** Nothing but PATH in the environment, nothing in the folder. */
  const stranger = (...args: string[]) =>
    spawnSync(process.execPath, [PROGRAM, 'audit', ...args], {
      cwd: at('empty'),
      env: { PATH: process.env['PATH'] ?? '', HOME: at('empty') },
      encoding: 'utf8',
    });

  it('proves that the answer was given: who asked keeps question, answer and receipt', () => {
    const texts = ['--prompt', at('prompt.json'), '--answer', at('answer.json')];
    const good = stranger('receipt', at('receipt.json'), '--key', key, ...texts, '--json');
    assert.equal(good.status, 0, good.stdout + good.stderr);
    const { ok, checks } = JSON.parse(good.stdout);
    assert.equal(ok, true);
    const names = (checks as { name: string }[]).map(({ name }) => name);
    for (const name of ['checkpoint', 'intent_inclusion', 'outcome_inclusion', 'pair', 'prompt', 'answer'])
      assert.ok(names.includes(name), name);
  });

  it('proves that nothing between two checkpoints is missing', () => {
    for (const format of ['jsonl', 'tiles']) {
      const whole = stranger('verify', '--export', at(format), '--key', key, '--json');
      assert.equal(whole.status, 0, whole.stdout + whole.stderr);
      const { ok, records, checkpoints } = JSON.parse(whole.stdout);
      assert.ok(ok && records > 300 && checkpoints >= 1, whole.stdout);
    }
  });

  it('says the same by an implementation of its own, from the specifications alone', async () => {
    const later = readNote(await readFile(at('tiles/checkpoint'), 'utf8'), key);
    const earlier = readNote(receipt.checkpoint, key);
    const { entries, leaves } = readEntries(at('tiles'), later.size);
    checkUpperTiles(at('tiles'), leaves);
    assert.ok(rootOver(leaves).equals(later.root), 'all entries make the root that was signed');
    // The log of the receipt is the beginning of this one: nothing between the two was taken out or put in.
    assert.ok(earlier.size < later.size && rootOver(leaves.slice(0, earlier.size)).equals(earlier.root));
    for (const { seq, record } of [receipt.intent, receipt.outcome])
      assert.equal(entries[seq]?.toString('utf8'), record, `record ${seq} of the receipt stands in the log`);
    entries.forEach((entry, seq) => {
      assert.equal(JSON.parse(entry.toString('utf8')).seq, seq);
    });
  });

  it('notices one record less, and one that was changed', async () => {
    const lines = (await readFile(at('jsonl/records.jsonl'), 'utf8')).trimEnd().split('\n');
    const { seq } = receipt.outcome;
    for (const [name, forged] of Object.entries({
      less: lines.toSpliced(seq, 1),
      changed: lines.with(seq, present(lines[seq]).replace('"outcome":"completed"', '"outcome":"failed"')),
    })) {
      await cp(at('jsonl'), at(name), { recursive: true });
      await writeFile(at(`${name}/records.jsonl`), `${forged.join('\n')}\n`);
      const found = stranger('verify', '--export', at(name), '--key', key, '--json');
      assert.equal(found.status, 1, name);
      assert.equal(JSON.parse(found.stdout).first.seq, seq, name);
    }
  });
});
