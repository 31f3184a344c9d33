import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { openUpstreamModel } from '#engine/upstream/model.upstream.ts';
import { openKeyFile } from '#engine/upstream/rotating-key.files.ts';
import { systemClock } from '#kernel/clock.ts';
import { type Log, type LogFields, silentLog } from '#kernel/log.ts';
import type { Problem } from '#kernel/problem.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';
import { answer } from './demo.ts';

const COMPLETION = JSON.stringify({
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
});

describe('whom we trust with a question', () => {
  let folder: string;
  let ca: string;
  let otherCa: string;
  let accepted: string[] = ['first-key'];
  const seen: string[] = [];
  let questions = 0;
  const servers: ReturnType<typeof createServer>[] = [];
  const addresses: string[] = [];
  const lines: { readonly message: string; readonly fields: LogFields }[] = [];
  const write = (message: string, fields: LogFields = {}) => void lines.push({ message, fields });
  const log: Log = { ...silentLog, info: write, warn: write, error: write };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-trust-'));
    const deps = { clock: systemClock, log: silentLog };
    const made = await ensureDevelopmentCertificate(join(folder, 'a'), deps);
    const other = await ensureDevelopmentCertificate(join(folder, 'b'), deps);
    ca = await readFile(made.caFile, 'utf8');
    otherCa = await readFile(other.caFile, 'utf8');
    const [cert, key] = [await readFile(made.certFile), await readFile(made.keyFile)];
    // The certificate is for the first of these addresses alone.
    for (const host of ['127.0.0.1', '127.0.0.2']) {
      const server = createServer({ cert, key }, (request, response) => {
        const given = (request.headers.authorization ?? '').replace('Bearer ', '');
        seen.push(given);
        if (request.method === 'POST') questions++;
        response.writeHead(accepted.includes(given) ? 200 : 401, { 'content-type': 'application/json' });
        response.end(request.method === 'POST' ? COMPLETION : '{}');
      });
      server.listen(0, host);
      await once(server, 'listening');
      servers.push(server);
      addresses.push(`https://${host}:${(server.address() as AddressInfo).port}`);
    }
  });
  after(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    await rm(folder, { recursive: true });
  });
  const constant = <T>(current: T) => ({ current, reload: async () => false });
  const open = async (change: Partial<UpstreamModelSpec>) => {
    const tls = constant({ ca });
    const spec = { id: 'up', urls: addresses.slice(0, 1), model: 'm', maxOutputTokens: 10, tls, ...change };
    const engine = openUpstreamModel(spec, { log, clock: systemClock });
    await engine.load();
    return engine;
  };

  it('a server whose certificate the pinned authority signed', async () => {
    const engine = await open({ apiKey: constant('first-key') });
    assert.equal((await answer(engine, { stream: false })).text, 'Hello');
    await engine.close();
  });

  for (const [what, change] of [
    ['another authority', () => ({ ca: otherCa })],
    ['no authority of ours but the system’s', () => ({ ca: undefined })],
    ['a certificate for another host', () => ({ urls: addresses.slice(1) })],
  ] as const) {
    it(`${what}: no question, no key`, async () => {
      const { ca: pinned, ...rest } = { ca, ...change() };
      const before = seen.length;
      const engine = openUpstreamModel(
        {
          ...{ id: 'up', urls: addresses.slice(0, 1), model: 'm', maxOutputTokens: 10, apiKey: constant('first-key') },
          ...rest,
          ...(pinned === undefined ? {} : { tls: constant({ ca: pinned }) }),
        },
        { log, clock: systemClock },
      );
      await engine.load();
      assert.equal(engine.status().state, 'failed');
      await assert.rejects(answer(engine, { stream: false }), (error) => (error as Problem).code === 'engine_failed');
      assert.equal(seen.length, before);
      await engine.close();
    });
  }

  it('a key that is refused: not in service, and told without the key', async () => {
    const engine = await open({ apiKey: constant('wrong-key') });
    assert.equal(engine.status().state, 'failed');
    await engine.close();
    assert.ok(lines.length > 0);
    assert.doesNotMatch(JSON.stringify(lines), /first-key|wrong-key/);
  });

  it('an address with a secret in it is not taken', () => {
    for (const url of ['https://user:secret@127.0.0.1/', 'https://127.0.0.1/?key=secret'])
      assert.throws(
        () => openUpstreamModel({ id: 'up', urls: [url], model: 'm', maxOutputTokens: 1 }, { log, clock: systemClock }),
        (error: Error) => !error.message.includes('secret=') && !error.message.includes('user'),
      );
  });

  it('a key is replaced without a restart and without a lost question, as secrets are mounted', async () => {
    const [one, two, link] = ['key-1', 'key-2', 'key'].map((name) => join(folder, name)) as [string, string, string];
    await writeFile(one, 'first-key\n');
    await writeFile(two, 'second-key\n');
    await symlink(one, link);
    const apiKey = await openKeyFile(link, log);
    const engine = await open({ apiKey });
    assert.equal((await answer(engine, { stream: false })).text, 'Hello');
    await symlink(two, `${link}.new`);
    await rename(`${link}.new`, link);
    accepted = ['second-key'];
    const before = questions;
    assert.equal((await answer(engine, { stream: false })).text, 'Hello');
    assert.equal(questions - before, 2, 'refused with the old one, asked again with the new one');
    assert.equal((await answer(engine, { stream: false })).text, 'Hello');
    assert.equal(questions - before, 3);
    // What is no key changes nothing, and is told once.
    const told = () => lines.filter(({ message }) => /not usable/.test(message)).length;
    for (const spoilt of ['', 'two words', '<html>\n</html>']) {
      const before = told();
      await writeFile(two, spoilt);
      assert.deepEqual([await apiKey.reload(), await apiKey.reload(), apiKey.current], [false, false, 'second-key']);
      assert.equal(told(), before + 1);
    }
    await engine.close();
    await assert.rejects(openKeyFile(link, log), /holds no API key/);
    assert.doesNotMatch(JSON.stringify(lines), /first-key|second-key|two words/);
  });
});
