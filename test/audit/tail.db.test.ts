import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WholeRow } from '#audit/export-lines.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { tlsSyslog } from '#audit/syslog.tls.ts';
import { LogTail } from '#audit/tail.service.ts';
import type { TailSink } from '#audit/tail.ts';
import { filePositions } from '#audit/tail-position.files.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';
import { type Estate, openEstate, until } from '../fakes/ledger-estate.ts';
import { answer, notes } from '../fakes/signed-log.ts';
import { SyslogReceiver } from '../fakes/syslog-receiver.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const ORIGIN = 'bank.example/strongroom';

describe('following the log', () => {
  let cluster: TestCluster;
  let estate: Estate;
  let folder: string;
  let pem: { ca: Buffer; cert: Buffer; key: Buffer };
  let state: string;
  before(async () => {
    cluster = await testCluster();
    folder = await mkdtemp(join(tmpdir(), 'strongroom-tail-'));
    const files = await ensureDevelopmentCertificate(folder, { clock: systemClock, log: silentLog });
    const [ca, cert, key] = await Promise.all(
      [files.caFile, files.certFile, files.keyFile].map((one) => readFile(one)),
    );
    pem = { ca, cert, key } as typeof pem;
  });
  afterEach(() => estate[Symbol.asyncDispose]());
  after(async () => {
    await rm(folder, { recursive: true, force: true });
    await cluster.stop();
  });

  const begin = async () => {
    estate = await openEstate(cluster);
    state = join(folder, randomUUID());
    return estate.gateway('gw_1');
  };

  /** Follows until `done`, as the command does; what it had trouble with. */
  async function follow(sink: TailSink, done: () => Promise<boolean> | boolean): Promise<unknown[]> {
    const stop = new AbortController();
    const troubles: unknown[] = [];
    const tail = new LogTail({
      open: () => openPostgresLog(estate.database.migrateUrl),
      sink,
      positions: filePositions(state, ORIGIN),
      clock: systemClock,
      wait: (milliseconds, signal) => sleep(Math.min(milliseconds, 20), undefined, { signal }).catch(() => undefined),
      onTrouble: (error) => troubles.push(error),
      from: 0,
    });
    const running = tail.run(stop.signal).finally(() => stop.abort());
    running.catch(() => undefined);
    await until(async () => stop.signal.aborted || (await done()));
    stop.abort();
    await running;
    return troubles;
  }
  const kept = async () => JSON.parse(await readFile(state, 'utf8')).next as number;

  /** Keeps what it was given; each page is confirmed. */
  function memorySink(seen: WholeRow[], fail: () => boolean = () => false): TailSink {
    return {
      confirmAfter: { milliseconds: 0, records: 1 },
      write: async (rows) => {
        if (fail()) throw new Error('the sink failed');
        seen.push(...rows);
      },
      confirm: async () => {},
      reset: () => {},
    };
  }
  const seqs = (rows: readonly WholeRow[]) => rows.map(({ seq }) => seq);
  const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

  it('resumes exactly where it stopped: with writers running, nothing twice and nothing left out', async () => {
    const gateway = await begin();
    const seen: WholeRow[] = [];
    let writing = true;
    const writers = Promise.all(
      [gateway, estate.gateway('gw_2')].map(async (one) => {
        while (writing) await notes(one, 37);
      }),
    );
    for (let session = 1; session <= 5; session++) {
      await follow(memorySink(seen), () => seen.length >= session * 300);
      assert.equal(await kept(), seen.length);
    }
    writing = false;
    await writers;
    const size = Number(await estate.value('SELECT size FROM head'));
    await follow(memorySink(seen), () => seen.length === size);
    assert.deepEqual(seqs(seen), upTo(size));
  });

  it('goes on when its sink has failed and when Postgres was killed, from what was confirmed', async () => {
    const gateway = await begin();
    await notes(gateway, 100);
    const seen: WholeRow[] = [];
    let failures = 2;
    const troubles = await follow(
      memorySink(seen, () => failures-- > 0),
      () => seen.length === 100,
    );
    assert.equal(troubles.length, 2);
    await cluster.killServer();
    const restarted = (async () => {
      await sleep(100);
      await cluster.restartServer();
      await notes(estate.gateway('gw_2'), 50);
    })();
    const broken = await follow(memorySink(seen), () => seen.length === 150);
    await restarted;
    assert.ok(broken.length > 0);
    assert.deepEqual(seqs(seen), upTo(150));
  });

  it('refuses another log, and a gap', async () => {
    const gateway = await begin();
    await notes(gateway, 20);
    const seen: WholeRow[] = [];
    await follow(memorySink(seen), () => seen.length === 20);
    const attack = (sql: string) => estate.dba.query(`SET session_replication_role = replica; ${sql}`);
    await attack("UPDATE leaf SET hash = sha256('x') WHERE seq = 19");
    await assert.rejects(
      follow(memorySink(seen), () => false),
      /not the log that was followed: record 19/,
    );
    await attack(
      "UPDATE leaf l SET hash = sha256('\\x00'::bytea || convert_to(e.record, 'UTF8')) FROM entry e WHERE e.seq = l.seq AND l.seq = 19",
    );
    await notes(gateway, 5);
    await attack('DELETE FROM entry WHERE seq = 22');
    await assert.rejects(
      follow(memorySink(seen), () => false),
      /record 22 is not there/,
    );
    await assert.rejects(filePositions(state, 'another/log').load(), /a position in the log bank\.example/);
  });

  it('by syslog over TLS: every record arrives in order, though the receiver drops connections in the middle', async () => {
    const gateway = await begin();
    await answer(estate, gateway, 200);
    await using receiver = await SyslogReceiver.start({ cert: pem.cert, key: pem.key });
    const seqOf = (message: string) => Number(/ seq="(\d+)"/.exec(message)?.[1]);
    const sink = () =>
      tlsSyslog({
        host: 'localhost',
        port: receiver.port,
        ca: pem.ca,
        quietMs: 30,
        confirmAfter: { milliseconds: 50, records: 64 },
      });
    receiver.cuts.push(150, 250);
    const troubles = await follow(sink(), async () => (await kept().catch(() => 0)) === 400);
    assert.ok(troubles.length >= 2, `${troubles.length} troubles`);
    const seen = receiver.messages.map(seqOf);
    assert.deepEqual([...new Set(seen)], upTo(400), 'each first arrival is in order, and none is missing');
    assert.ok(seen.length > 400, 'what was not confirmed went out again');
    const records = await estate.rows<{ record: string }>('SELECT record FROM entry ORDER BY seq');
    assert.ok(receiver.messages.find((one) => seqOf(one) === 123)?.endsWith(` \ufeff${records[123]?.record}`));

    // Confirmed is confirmed: the next session sends only what is new.
    const before = receiver.messages.length;
    await notes(gateway, 30);
    await follow(sink(), async () => (await kept()) === 430);
    assert.deepEqual(receiver.messages.slice(before).map(seqOf), upTo(430).slice(400));
  });

  it('by syslog: sends nothing to a receiver that can not show who it is, and its own certificate where asked', async () => {
    const gateway = await begin();
    await notes(gateway, 3);
    const attempt = async (receiver: SyslogReceiver, options: object) => {
      let tried = false;
      const sink = tlsSyslog({ host: 'localhost', port: receiver.port, quietMs: 1, ...options });
      const watched: TailSink = {
        ...sink,
        write: (rows) => sink.write(rows).finally(() => (tried = true)),
        confirmAfter: { milliseconds: 0, records: 1 },
      };
      return follow(watched, () => tried);
    };
    await using plain = await SyslogReceiver.start({ cert: pem.cert, key: pem.key });
    assert.ok((await attempt(plain, {})).length > 0, 'an authority that nobody trusts');
    assert.ok((await attempt(plain, { ca: pem.ca, host: '127.0.0.2' })).length > 0, 'another name');
    assert.equal(plain.messages.length, 0);
    await using strict = await SyslogReceiver.start({ ...pem, requestCert: true, rejectUnauthorized: true });
    assert.ok((await attempt(strict, { ca: pem.ca })).length > 0, 'no certificate of ours');
    assert.equal(strict.messages.length, 0);
  });
});
