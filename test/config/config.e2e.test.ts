import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ConfigFaults, loadConfig } from '#config/load.ts';
import { makeSealKey, readSealKeys } from '#identity/seal-key.files.ts';
import { runStrongroom } from '../harness/gateway-process.ts';

describe('the configuration', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-config-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function faultsOf(yaml: string | null, environment: Record<string, string> = {}): Promise<readonly string[]> {
    const file = join(folder, 'strongroom.yaml');
    if (yaml === null) await rm(file, { force: true });
    else await writeFile(file, yaml);
    try {
      loadConfig(environment, folder);
      return [];
    } catch (error) {
      assert.ok(error instanceof ConfigFaults);
      return error.faults;
    }
  }

  it('is complete without a file', async () => {
    await rm(join(folder, 'strongroom.yaml'), { force: true });
    const { config, base, file } = loadConfig({}, folder);
    assert.deepEqual([config.http.port, config.dataDir, base, file], [8443, '.strongroom', folder, null]);
  });

  it('names every fault at once, by name and never by value', async () => {
    const faults = await faultsOf(
      'http: {port: canary1, bodyLimit: 1, drainSecs: 5}\nquota: {timeZone: canary2}\nlog: {level: canary3}\ntls: {certFile: canary4}\nsecret: canary5\nmodels: {demo: {file: canary6}, "bad name": {}}\n',
      { STRONGROOM_NOTHING: 'canary7', STRONGROOM_METRICS__LISTEN: 'canary8' },
    );
    const text = faults.join('\n');
    for (const name of [
      'http.port',
      'http.bodyLimit',
      'http.drainSecs',
      'quota.timeZone',
      'log.level',
      'secret',
      'models.demo.sha256',
      'STRONGROOM_NOTHING',
      'metrics.listen',
    ])
      assert.ok(text.includes(name), `${name} in\n${text}`);
    assert.doesNotMatch(text, /canary/);
  });

  it('does not hide behind faults of the schema what contradicts', async () => {
    assert.match((await faultsOf('tls: {certFile: a.pem}\n')).join(), /tls: certFile and keyFile/);
    assert.match(
      (await faultsOf('database: {url: x, urlFile: y}\n')).join(),
      /url and urlFile.*keys\.sealFile.*keys\.checkpointFile/s,
    );
    assert.match((await faultsOf(null, { DATABASE_URL: 'postgres://canary' })).join(), /^keys\.sealFile/);
    for (const origin of ['with space', 'with+plus', '', 'ünicode'])
      assert.match((await faultsOf(`audit: {origin: "${origin}"}\n`)).join(), /^audit\.origin/, origin);
  });

  it('takes a secret as a file, by either way to write its variable, and never beside the secret itself', async () => {
    const keys = { STRONGROOM_KEYS__SEAL_FILE: '/keys/seal', STRONGROOM_KEYS__CHECKPOINTFILE: '/keys/checkpoint' };
    await rm(join(folder, 'strongroom.yaml'), { force: true });
    const { config } = loadConfig(
      { ...keys, DATABASE_URL_FILE: '/run/url', STRONGROOM_METRICS__TOKEN_FILE: '/run/m' },
      folder,
    );
    assert.deepEqual(
      [config.database.urlFile, config.keys.sealFile, config.keys.checkpointFile, config.metrics.tokenFile],
      ['/run/url', '/keys/seal', '/keys/checkpoint', '/run/m'],
    );
    const both = await faultsOf(null, { ...keys, DATABASE_URL_FILE: '/run/url', DATABASE_URL: 'postgres://canary' });
    assert.match(both.join(), /^database: url and urlFile exclude each other$/);
    assert.match((await faultsOf(null, { STRONGROOM_HTTP__HOST_FILE: 'x' })).join(), /there is no such setting/);
  });

  it('knows an address and a network from what is neither', async () => {
    for (const entry of ['canary', '10.0.0.0/33', '10.0.0.0/', '2001:db8::/129', '10.0.0.1/8/8', '10.0.0.0/-1', ''])
      assert.match(
        (await faultsOf(`http: {trustedProxies: ["${entry}"]}\n`)).join(),
        /^http\.trustedProxies\.0: must be/,
      );
    assert.deepEqual(
      await faultsOf('http: {trustedProxies: ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]}\n'),
      [],
    );
  });

  it('refuses YAML that is none, that repeats a key, or that points to itself', async () => {
    for (const yaml of ['http: [', 'http: {port: 1}\nhttp: {port: 2}\n', 'a: &a [*a]\n', '- a\n', '"text"'])
      assert.ok((await faultsOf(yaml)).length > 0, yaml);
  });

  it('refuses a file that is named and is not there', async () => {
    assert.match((await faultsOf(null, { STRONGROOM_CONFIG: 'no-such.yaml' })).join(), /can't be read/);
  });

  it('takes the environment over the file, numbers and lists as in YAML', async () => {
    await writeFile(join(folder, 'strongroom.yaml'), 'http: {port: 1, host: 0.0.0.0}\n');
    const { config } = loadConfig(
      {
        STRONGROOM_HTTP__PORT: '9443',
        STRONGROOM_HTTP__BODYLIMIT: '2048',
        STRONGROOM_HTTP__TRUSTEDPROXIES: '["10.0.0.0/8"]',
        STRONGROOM_QUOTA__TIMEZONE: 'Asia/Shanghai',
        STRONGROOM_DATA_DIR: '/data',
        STRONGROOM_CONFIG: 'strongroom.yaml',
      },
      folder,
    );
    assert.deepEqual(
      [config.http.port, config.http.host, config.http.bodyLimit, config.http.trustedProxies, config.dataDir],
      [9443, '0.0.0.0', 2048, ['10.0.0.0/8'], '/data'],
    );
    assert.equal(config.quota.timeZone, 'Asia/Shanghai');
  });

  it('names what is wrong with an upstream as an upstream', async () => {
    const faults = await faultsOf('models: {far: {upstream: {url: "ftp://canary", model: m}}}\n');
    assert.match(faults.join(), /models\.far\.upstream\.url/);
    assert.doesNotMatch(faults.join(), /canary|sha256/);
  });

  describe('on the command line', () => {
    const run = (args: string[], environment: Record<string, string> = {}) => runStrongroom(args, environment, folder);

    it('config check: 0 and 1, in words and in JSON', async () => {
      await writeFile(join(folder, 'strongroom.yaml'), 'http: {port: 9000}\n');
      const [good, goodJson] = await Promise.all([run(['config', 'check']), run(['config', 'check', '--json'])]);
      assert.deepEqual([good.code, goodJson.code], [0, 0], good.stderr);
      assert.deepEqual(JSON.parse(goodJson.stdout).models, ['demo']);
      await writeFile(join(folder, 'strongroom.yaml'), 'http: {port: canary, prot: 1}\n');
      const [bad, badJson] = await Promise.all([run(['config', 'check']), run(['config', 'check', '--json'])]);
      assert.deepEqual([bad.code, badJson.code], [1, 1]);
      assert.match(bad.stderr, /2 faults:\n.*http\.port.*\n.*http\.prot/);
      const { ok, faults } = JSON.parse(badJson.stdout) as { ok: boolean; faults: string[] };
      assert.deepEqual([ok, faults.length], [false, 2]);
      assert.doesNotMatch(bad.stderr + badJson.stdout, /canary/);
    });
    it('serve does not start on a faulty one', async () => {
      await writeFile(join(folder, 'strongroom.yaml'), 'htpp: {}\n');
      const ended = await run(['serve']);
      assert.equal(ended.code, 1);
      assert.match(ended.stderr, /htpp: there is no such setting/);
    });
    it('what is no command, no option and no argument ends with 2', async () => {
      await rm(join(folder, 'strongroom.yaml'));
      for (const args of [
        ['frobnicate'],
        ['config', 'chek'],
        ['--no-such'],
        ['serve', 'extra'],
        ['config', 'check', 'x'],
      ])
        assert.equal((await run(args)).code, 2, args.join(' '));
      assert.equal((await run(['--help'])).code, 0);
    });
    it('keys init makes a key once, for nobody else to read', async () => {
      const made = await run(['keys', 'init', 'keys', '--json']);
      assert.deepEqual([made.code, JSON.parse(made.stdout).made], [0, true]);
      const file = join(folder, 'keys', 'seal.key');
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      const before = await readFile(file);
      const again = await run(['keys', 'init', 'keys', '--json']);
      assert.equal(JSON.parse(again.stdout).made, false);
      assert.deepEqual(await readFile(file), before);
      assert.ok(!made.stdout.includes(before.toString().trim()));
    });
  });

  it('a seal key that others may read, or that is none, is refused by name and not by content', async () => {
    const file = join(folder, 'seal.key');
    await makeSealKey(file);
    assert.equal((await readSealKeys(file))[0]?.length, 32);
    for (const mode of [0o640, 0o604, 0o660]) {
      await chmod(file, mode);
      await assert.rejects(readSealKeys(file), /seal\.key: others may read this key/);
    }
    await chmod(file, 0o600);
    await writeFile(file, 'canary');
    await assert.rejects(readSealKeys(file), (error: Error) => !error.message.includes('canary'));
  });
});
