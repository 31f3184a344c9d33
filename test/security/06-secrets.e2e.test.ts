import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { generateSync } from 'otplib';
import { madeEntry, temporaryFolder } from '../harness/gateway.ts';
import { GatewayProcess } from '../harness/gateway-process.ts';

/** Nothing but a canary looks like this. */
const canary = (where: string): string => `Canary${where}Q7z`;

describe('promise 6: no secret and no prompt in clear anywhere', () => {
  let gateway: GatewayProcess;
  const secrets = new Map<string, string>();
  const answers: string[] = [];

  before(async () => {
    const folder = await temporaryFolder();
    const said = await madeEntry(folder, 'said', { say: [canary('Answer')] });
    gateway = await GatewayProcess.start({ models: { said }, log: { level: 'debug' } }, folder);
    await everythingThatMayHoldOne();
  });
  after(() => gateway[Symbol.asyncDispose]());

  const keep = (name: string, value: string): string => {
    secrets.set(name, value);
    return value;
  };

  async function everythingThatMayHoldOne(): Promise<void> {
    const request = async (method: string, path: string, options: object = {}) => {
      const answer = await gateway.client.request(method, path, options);
      answers.push(`${answer.text}\n${JSON.stringify({ ...answer.headers, 'set-cookie': undefined })}`);
      return answer;
    };
    const analyst = gateway.account('analyst');
    const admin = gateway.account('admin');
    keep('password of the analyst', analyst.password);
    keep('password of the admin', admin.password);
    keep('TOTP secret', admin.totpSecret ?? '');
    keep('TOTP secret as bytes', Buffer.from(base32(admin.totpSecret ?? '')).toString('hex'));
    // A password typed where the name belongs, a name that nobody has, a wrong password.
    await request('POST', '/auth/login', {
      body: { username: keep('username', canary('User')), password: keep('wrong password', canary('Pass')) },
    });
    await request('POST', '/auth/login', { body: { username: 'analyst', password: canary('Pass') } });
    await request('POST', '/auth/login', {
      body: { username: 'analyst', password: canary('Pass'), code: canary('Code') },
    });
    await request('POST', '/auth/login', { raw: `{"password": "${keep('in broken JSON', canary('Broken'))}"` });
    const code = generateSync({ secret: admin.totpSecret ?? '' });
    const boss = await gateway.client.post('/auth/login', { ...admin, code });
    keep('session of the admin', String(boss.json()['token']).slice(4));
    const session = await gateway.client.post('/auth/login', analyst);
    const token = keep('session of the analyst', String(session.json()['token']).slice(4));
    const bearer = { authorization: `Bearer srs_${token}` };
    const made = await gateway.client.request('POST', '/auth/keys', {
      headers: bearer,
      body: { name: 'k', password: analyst.password },
    });
    const key = keep('API key', String(made.json()['key']).slice(4));
    const content = `${keep('prompt', canary('Prompt'))} and more`;
    keep('answer', canary('Answer'));
    const ask = {
      model: 'said',
      messages: [
        { role: 'user', content },
        { role: 'system', content: keep('system', canary('System')) },
      ],
    };
    const whole = await gateway.client.request('POST', '/v1/chat/completions', {
      headers: { 'x-api-key': `srk_${key}` },
      body: ask,
    });
    assert.ok(whole.text.includes(canary('Answer')), whole.text);
    const open = await gateway.client.open('POST', '/v1/chat/completions', {
      headers: bearer,
      body: { ...ask, stream: true, user: keep('member', canary('Member')) },
    });
    for await (const _ of open.events());
    await request('POST', '/v1/chat/completions', { headers: bearer, body: { ...ask, n: 99 } });
    const suffix = keep('suffix', canary('Suffix'));
    await request('POST', '/v1/completions', { headers: bearer, body: { model: 'said', prompt: content, suffix } });
    await request('POST', '/v1/embeddings', { headers: bearer, body: { model: 'said', input: content } });
    const tool = {
      type: 'function',
      function: { name: 'f', description: keep('tool', canary('Tool')), parameters: {} },
    };
    await request('POST', '/v1/chat/completions', {
      headers: bearer,
      body: { ...ask, tools: [tool], tool_choice: { type: 'function', function: { name: canary('Tool') } } },
    });
    await request('POST', '/v1/chat/completions', {
      headers: bearer,
      body: { ...ask, temperature: keep('value', canary('Value')) },
    });
    await request('POST', '/v1/chat/completions', {
      headers: bearer,
      body: { ...ask, messages: [{ role: 'user', content: content.repeat(400) }] },
    });
    await request('POST', '/v1/chat/completions', { headers: bearer, raw: `{"a": "${canary('Broken')}` });
    await request('GET', `/v1/models?q=${keep('query', canary('Query'))}`, {
      headers: { ...bearer, cookie: `a=${keep('cookie', canary('Cookie'))}` },
    });
    await request('GET', `/nowhere/${keep('path', canary('Path'))}`, {
      headers: { 'x-a': keep('header', canary('Header')) },
    });
    await request('GET', '/auth/session', {
      headers: { authorization: `Bearer ${keep('credential', canary('Credential'))}` },
    });
    await request('GET', '/auth/session', { headers: { authorization: `Bearer srs_${canary('Credential')}` } });
    await request('GET', '/auth/session', {
      headers: {
        'user-agent': keep('agent', canary('Agent')),
        referer: `https://${keep('referer', canary('Referer'))}/`,
      },
    });
    const from = {
      current_password: analyst.password,
      new_password: keep('new password', `${canary('New')} horse battery`),
    };
    await request('POST', '/auth/password', { headers: bearer, body: { ...from, current_password: canary('Pass') } });
    await request('POST', '/auth/password', { headers: bearer, body: { ...from, new_password: canary('Pass') } });
    assert.equal((await gateway.client.post('/auth/password', from, bearer)).status, 204);
    await everyAuditorsFilter(request);
    await gateway.client.raw(`GET /${canary('Path')} HTTP/1.1\r\n${canary('Header')}\r\n\r\n`);
  }

  let exported = '';

  /** People paste into the wrong field; a name belongs into no record. */
  async function everyAuditorsFilter(
    request: (method: string, path: string, options?: object) => Promise<{ status: number; text: string }>,
  ): Promise<void> {
    const { username, password } = gateway.account('auditor');
    const login = await gateway.client.post('/auth/login', { username, password });
    const headers = { authorization: `Bearer ${keep('session of the auditor', String(login.json()['token']))}` };
    for (const name of ['actor', 'action', 'resource', 'outcome', 'request_id', 'from', 'cursor', 'limit'])
      await request('GET', `/audit/events?${name}=${keep(`filter ${name}`, canary(`Filter${name}`))}`, { headers });
    await request('GET', `/audit/proof/inclusion?seq=${canary('Seq')}`, { headers });
    await gateway.client.request('GET', `/audit/export?actor=${canary('Export')}`, { headers });
    const whole = await gateway.client.request('GET', '/audit/export', { headers });
    assert.equal(whole.status, 200);
    exported = whole.text;
  }

  /** In any letter case; in base64 and hex too, as a careless encoder would leave it. */
  function find(where: string, text: string): void {
    const low = text.toLowerCase();
    for (const [name, secret] of secrets) {
      const bytes = Buffer.from(secret);
      for (const form of [secret, bytes.toString('hex'), bytes.toString('base64').replace(/.{0,2}=*$/, '')])
        assert.ok(!low.includes(form.toLowerCase()), `the ${name} is in ${where}`);
    }
    assert.doesNotMatch(text, /Canary/, where);
  }

  it('not in any column of any table', async () => {
    const tables = await gateway.database.sql<{ name: string }>(
      "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    );
    assert.ok(tables.length >= 15);
    let rows = 0;
    for (const { name } of tables) {
      for (const { row } of await gateway.database.sql<{ row: string }>(`SELECT t::text AS row FROM ${name} t`)) {
        rows++;
        find(name, row);
      }
    }
    assert.ok(rows > 50, `${rows} rows`);
  });

  it('not in the database’s files either: no statement text is kept', async () => {
    const [setting] = await gateway.database.sql(
      "SELECT count(*)::integer AS n FROM pg_stat_activity WHERE query ~ 'Canary' AND pid <> pg_backend_pid()",
    );
    assert.equal(setting?.['n'], 0);
  });

  it('not in what an auditor takes away, nor in what is handed on to a collector', async () => {
    assert.ok(exported.split('\n').length > 20);
    find('the export', exported);
    const rows = await gateway.database.sql<{ record: string }>('SELECT record FROM entry');
    assert.ok(rows.some(({ record }) => record.includes('(not kept)')));
  });

  it('not in a log line', () => {
    assert.ok(gateway.stderr.split('\n').length > 20);
    find('the log', gateway.stderr);
  });

  it('not in the metrics', async () => {
    find('/metrics', await (await fetch(gateway.metricsUrl)).text());
  });

  it('not in what a refused caller is told', () => {
    assert.ok(answers.length > 10);
    for (const answer of answers) find('an answer', answer);
  });
});

function base32(text: string): Uint8Array {
  const bits = [...text]
    .map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0'))
    .join('');
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
}
