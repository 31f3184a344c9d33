import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Finding } from '#doctor/finding.ts';
import { DEMO_FILE, sha256 } from '../engine/demo.ts';
import { freePort } from '../harness/free-port.ts';
import { temporaryFolder } from '../harness/gateway.ts';
import { GatewayProcess, runStrongroom } from '../harness/gateway-process.ts';

const at = (name: string) => fileURLToPath(new URL(`../../models/demo/${name}.gguf`, import.meta.url));
const [TRAINED, LETTERS] = [at('demo'), at('formal-letters')];
const digestOf = (file: string) => sha256(readFileSync(file));

interface Report {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  readonly sandbox: { readonly level: string } | null;
}

describe('strongroom doctor', () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const examine = async (dataDir: string, environment: Record<string, string> = {}, config = '') => {
    const ended = await runStrongroom(['doctor', '--json'], {
      STRONGROOM_DATA_DIR: dataDir,
      STRONGROOM_HTTP__PORT: String(await freePort()),
      STRONGROOM_METRICS__LISTEN: `127.0.0.1:${await freePort()}`,
      ...(config === '' ? {} : { STRONGROOM_CONFIG: config }),
      ...environment,
    });
    const report = JSON.parse(ended.stdout) as Report;
    assert.equal(ended.code, report.ok ? 0 : 1);
    assert.equal(report.ok, !report.findings.some(({ status }) => status === 'fail'));
    const of = (check: string) => report.findings.filter((finding) => finding.check === check);
    const failed = report.findings.filter(({ status }) => status === 'fail').map(({ check }) => check);
    return { ...report, of, failed, stdout: ended.stdout };
  };

  it('finds an empty folder well: everything is made by the first start', async () => {
    const { failed, of, sandbox } = await examine(join(folder, 'empty'));
    assert.deepEqual(failed, []);
    assert.match(of('keys')[0]?.says ?? '', /the first start makes them/);
    assert.match(of('database')[0]?.says ?? '', /the first start makes it/);
    assert.match(of('model demo')[0]?.says ?? '', /digest is right.*estimated/);
    assert.ok(['full', 'uid', 'process'].includes(sandbox?.level ?? ''));
  });

  it('speaks to people, with what to do below what is not well', async () => {
    const { stdout, code } = await runStrongroom(['doctor'], {
      STRONGROOM_DATA_DIR: join(folder, 'empty'),
      STRONGROOM_HTTP__PORT: String(await freePort()),
      STRONGROOM_METRICS__LISTEN: '0.0.0.0:0',
    });
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^ok {4}node {12}v\d+/m);
    assert.match(stdout, /^warn {2}port metrics .*\n +-> the metrics ask for no token/m);
  });

  it('while the gateway runs, and after it: the same database, and the ports are ours', async () => {
    const tokenFile = join(folder, 'metrics.token');
    await writeFile(tokenFile, 'a-token-of-the-metrics\n', { mode: 0o600 });
    await using gateway = await GatewayProcess.start({
      metrics: { listen: '127.0.0.1:0', tokenFile },
      models: { far: { upstream: { url: 'http://127.0.0.1:9', model: 'x' } } },
    });
    const { dataDir, metricsUrl } = gateway;
    const secrets = JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8')).passwords as object;
    const running = await examine(dataDir, {
      STRONGROOM_HTTP__PORT: /localhost:(\d+)/.exec(gateway.stdout)?.[1] ?? '',
      STRONGROOM_METRICS__LISTEN: new URL(metricsUrl).host,
      STRONGROOM_METRICS__TOKENFILE: tokenFile,
    });
    assert.deepEqual(running.failed, []);
    for (const name of ['port https', 'port metrics'])
      assert.match(running.of(name)[0]?.says ?? '', /this gateway is there/, name);
    for (const name of [
      'database',
      'durability',
      'db_separation',
      'clock',
      'tls dates',
      'tls chain',
      'tls key',
      'keys',
    ])
      assert.equal(running.of(name)[0]?.status, 'ok', name);
    for (const secret of Object.values(secrets)) assert.ok(!running.stdout.includes(secret));

    gateway.kill('SIGTERM');
    await gateway.ended;
    const stopped = await examine(dataDir);
    assert.deepEqual(stopped.failed, []);
    assert.match(stopped.of('database')[0]?.says ?? '', /^Postgres 1[89].*embedded, up to date/);

    // And what somebody has spoilt meanwhile is named.
    await chmod(join(dataDir, 'keys', 'seal.key'), 0o644);
    const spoilt = await examine(dataDir);
    assert.deepEqual(spoilt.failed, ['keys']);
    assert.match(spoilt.of('keys')[0]?.todo ?? '', /^chmod 600 .*seal\.key$/);
  });

  it('names every fault of a catalogue and a port at once, and ends with 1', async () => {
    const other: Server = createServer((_request, response) => response.end('hello'));
    other.listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as { port: number };
    const config = join(folder, 'faulty.yaml');
    const model = { file: DEMO_FILE, chatTemplateFile: DEMO_FILE.replace('scripted.gguf', 'chat-template.jinja') };
    await writeFile(join(folder, 'text.gguf'), 'no model');
    await writeFile(
      config,
      JSON.stringify({
        models: {
          other: { ...model, sha256: 'a'.repeat(64) },
          gone: { ...model, file: 'none.gguf', sha256: 'a'.repeat(64) },
          gpu: { ...model, sha256: 'b'.repeat(64), gpu: 'cuda' },
          trained: {
            ...{ ...model, file: TRAINED, sha256: digestOf(TRAINED) },
            // Of the right bytes but for another model's vocabulary; the adapters are right, another one, and none.
            draft: { file: DEMO_FILE, sha256: digestOf(DEMO_FILE) },
            adapters: {
              letters: { file: LETTERS, sha256: digestOf(LETTERS) },
              changed: { file: LETTERS, sha256: 'a'.repeat(64) },
              none: { file: 'none.gguf', sha256: 'a'.repeat(64) },
              model: { file: DEMO_FILE, sha256: digestOf(DEMO_FILE) },
            },
          },
        },
      }),
    );
    const { failed, of } = await examine(
      join(folder, 'faulty'),
      { STRONGROOM_METRICS__LISTEN: `127.0.0.1:${port}` },
      config,
    );
    other.close();
    for (const check of ['port metrics', 'model other', 'model gone']) assert.ok(failed.includes(check), check);
    assert.match(of('model other')[0]?.says ?? '', /another one than approved: [0-9a-f]{64}/);
    assert.match(of('model gone')[0]?.says ?? '', /can not be read/);
    for (const [name, says] of [
      ['trained', /draft model is malformed: the draft model has another vocabulary/],
      ['trained+letters', /MiB, digest is right, adapter [\d.]+ MiB, digest is right/],
      ['trained+changed', /adapter is another one than approved: [0-9a-f]{64}/],
      ['trained+none', /adapter can not be read/],
      ['trained+model', /adapter is malformed: not an adapter/],
    ] as const)
      assert.match(of(`model ${name}`)[0]?.says ?? '', says, name);
  });

  it('metrics that other machines may read: with a token that is kept from others, or a warning', async () => {
    const dataDir = join(folder, 'open');
    const listen = { STRONGROOM_METRICS__LISTEN: `0.0.0.0:${await freePort()}` };
    const file = join(folder, 'open.token');
    const withToken = { ...listen, STRONGROOM_METRICS__TOKENFILE: file };
    const status = async (environment: Record<string, string>, name: string) =>
      (await examine(dataDir, environment)).of(name)[0]?.status;
    assert.equal(await status(listen, 'port metrics'), 'warn');
    await writeFile(file, 'too-short', { mode: 0o600 });
    assert.equal(await status(withToken, 'port metrics'), 'fail');
    await writeFile(file, 'a-token-of-the-metrics\n');
    assert.equal(await status(withToken, 'port metrics'), 'ok');
    await chmod(file, 0o644);
    assert.equal(await status(withToken, 'keys'), 'fail');
  });

  it('a configuration with faults is what it finds', async () => {
    const config = join(folder, 'wrong.yaml');
    await writeFile(config, 'http: { prot: 1 }\nlog: { level: loud }\n');
    const { findings, sandbox } = await examine(join(folder, 'wrong'), {}, config);
    assert.deepEqual(
      findings.map(({ check, status }) => `${check} ${status}`),
      ['config fail', 'config fail'],
    );
    assert.equal(sandbox, null);
  });
});
