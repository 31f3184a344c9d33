import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TestGateway, temporaryFolder } from '../harness/gateway.ts';

const TOKEN = 'the-first-token-of-the-metrics';
const NEXT = 'the-second-token-of-the-metrics';

describe('metrics with a token', () => {
  let folder: string;
  let file: string;
  let test: TestGateway;
  before(async () => {
    folder = await temporaryFolder();
    file = join(folder, 'metrics.token');
    await writeFile(file, `${TOKEN}\n`, { mode: 0o600 });
    test = await TestGateway.open({ models: {}, metrics: { listen: '127.0.0.1:0', tokenFile: file } });
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  const read = (authorization?: string, path = '/metrics') =>
    fetch(`http://${test.gateway.metricsAddress}${path}`, {
      headers: authorization === undefined ? {} : { authorization },
    });

  it('are told to whoever shows it', async () => {
    for (const scheme of ['Bearer', 'bearer']) {
      const answer = await read(`${scheme} ${TOKEN}`);
      assert.equal(answer.status, 200);
      assert.match(await answer.text(), /^strongroom_requests_active 0$/m);
    }
  });

  it('are not told to anybody else, who learns no more than that a token is needed', async () => {
    for (const shown of [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN} x`,
      `Basic ${TOKEN}`,
      TOKEN,
    ])
      for (const path of ['/metrics', '/other']) {
        const answer = await read(shown, path);
        assert.deepEqual([answer.status, answer.headers.get('www-authenticate')], [401, 'Bearer'], shown);
        assert.equal(await answer.text(), '');
      }
    assert.equal((await read(`Bearer ${TOKEN}`, '/other')).status, 404);
  });

  it('take the next token as soon as it is in the file, and stay with it when what follows is none', async () => {
    await writeFile(file, NEXT);
    assert.deepEqual([(await read(`Bearer ${TOKEN}`)).status, (await read(`Bearer ${NEXT}`)).status], [401, 200]);
    for (const none of ['', 'too-short', 'with blanks in the middle of it']) {
      await writeFile(file, none);
      assert.equal((await read(`Bearer ${NEXT}`)).status, 200);
      assert.equal((await read(`Bearer ${none}`)).status, 401);
    }
    const said = JSON.stringify(test.log.filter(({ message }) => message.startsWith('the token of the metrics')));
    assert.match(said, /not usable/);
    for (const secret of [TOKEN, NEXT, 'too-short']) assert.ok(!said.includes(secret));
  });

  it('do not begin with a file that holds none', async () => {
    const bad = join(folder, 'bad.token');
    await writeFile(bad, 'too-short');
    const metrics = { listen: '127.0.0.1:0', tokenFile: bad };
    let dataDir = folder;
    const opening = TestGateway.open(async (made) => {
      dataDir = made;
      return { models: {}, metrics };
    });
    await assert.rejects(opening, /bad\.token: has to hold 16 characters/);
    await rm(dataDir, { recursive: true });
  });

  it('without one are open, and the log says so where other machines may read them', async () => {
    const warnings = (of: TestGateway) => of.log.filter(({ message }) => /metrics are open/.test(message)).length;
    assert.equal(warnings(test), 0);
    await using open = await TestGateway.open({ models: {}, metrics: { listen: '0.0.0.0:0' } });
    assert.equal(warnings(open), 1);
  });
});
