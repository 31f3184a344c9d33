import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AdminModel, AdminModelList } from '#models/models.contract.ts';
import { DEMO_TEXT } from '../engine/demo.ts';
import { demoEntry, eventually, madeEntry, present, type Session, TestGateway } from '../harness/gateway.ts';
import { firstAdmin, type Person, stepped } from '../identity/people.ts';

/** Room for one child and not for two: each is estimated at 184 MB. */
const ROOM_FOR_ONE = 240_000_000;
const CLIENTS = 32;
const LONG = 300;
/** So long that nobody hears its end. */
const ENDLESS = 3900;

interface Heard {
  readonly id: string;
  readonly model: string;
  readonly status: number;
  readonly text: string;
  readonly pieces: number;
  readonly done: boolean;
  readonly error: string | null;
  readonly tokens: number | null;
}

describe('two models share memory for one', () => {
  let gateway: TestGateway;
  let admin: Person;
  let analyst: Session;
  before(async () => {
    gateway = await TestGateway.open(async (folder) => ({
      engine: { ramBytes: ROOM_FOR_ONE, drainSeconds: 5, loadWaitMs: 120_000 },
      models: {
        says: await demoEntry({ parallel: 4 }),
        endless: await madeEntry(folder, 'endless', { loop: true }, { parallel: 4, contextSize: 4096 }),
        third: await madeEntry(folder, 'third', { say: ['A third ', 'model.'] }),
      },
    }));
    admin = await firstAdmin(gateway);
    analyst = await gateway.signIn('analyst');
    // What a day allows is none of this test's business.
    await gateway.database.sql('UPDATE account SET tokens_per_day = 100000000').catch(() => undefined);
  });
  after(() => gateway[Symbol.asyncDispose]());

  const models = async (): Promise<AdminModelList> =>
    (await gateway.client.get('/admin/models', admin.bearer)).json<AdminModelList>();
  const modelOf = async (id: string): Promise<AdminModel> =>
    present((await models()).data.find((one) => one.id === id));

  /** One client from its question to the end of its stream; `hangUpAfter` so many pieces. */
  async function client(model: string, hangUpAfter = Number.POSITIVE_INFINITY): Promise<Heard> {
    const answer = await gateway.client.open('POST', '/v1/chat/completions', {
      headers: analyst.bearer,
      body: {
        model,
        messages: [{ role: 'user', content: 'What are you?' }],
        stream: true,
        stream_options: { include_usage: true },
        max_tokens: model !== 'endless' ? 100 : hangUpAfter < LONG ? ENDLESS : LONG,
        temperature: 0,
      },
    });
    const heard = { text: '', pieces: 0, done: false, error: null as string | null, tokens: null as number | null };
    if (answer.status === 200) {
      for await (const event of answer.events()) {
        if (event === '[DONE]') {
          heard.done = true;
          break;
        }
        const { choices = [], usage, error } = JSON.parse(event);
        if (error !== undefined) heard.error = error.code;
        if (usage) heard.tokens = usage.completion_tokens;
        const content = choices[0]?.delta.content ?? '';
        heard.text += content;
        if (content !== '') heard.pieces++;
        if (heard.pieces >= hangUpAfter) {
          answer.hangUp();
          break;
        }
      }
    } else {
      let text = '';
      for await (const part of answer.message) text += part;
      heard.error = JSON.parse(text).error.code;
    }
    return { id: String(answer.headers['x-request-id']), model, status: answer.status, ...heard };
  }

  it('32 clients stream from both, a child is killed, one hangs up, a third is loaded: each ends as it should, on the record', async () => {
    const first = present((await models()).data.find(({ state }) => state === 'ready'));
    assert.equal(first.id, 'says', 'at the start what there is room for, in the order of the catalogue');
    assert.equal((await modelOf('endless')).state, 'unloaded');

    const leaver = client('endless', 5);
    const clients = Array.from({ length: CLIENTS - 1 }, (_, at) => client(at % 2 === 0 ? 'says' : 'endless'));
    const left = await leaver;
    // The child is killed while it answers others.
    const busy = await eventually(async () => {
      const model = await modelOf('endless');
      return model.state === 'ready' && model.busy > 0 && model.pid !== null && model;
    });
    process.kill(present(busy.pid), 'SIGKILL');
    // And an admin wants a third in the middle of it.
    const loading = await stepped(gateway, admin, { method: 'POST', path: '/admin/models/third/load' });
    assert.equal(loading.status, 202);
    const all = await Promise.all(clients);

    const broken = all.filter(({ error }) => error !== null);
    for (const { model, error, done } of broken) {
      assert.deepEqual([model, done], ['endless', false]);
      assert.equal(error, 'engine_failed');
    }
    assert.ok(broken.length <= 5, `${broken.length} of at most the child's four and one on its way`);
    for (const { model, done, status, text, tokens, error } of all) {
      if (error !== null) continue;
      assert.deepEqual([status, done], [200, true]);
      if (model === 'says') assert.equal(text, DEMO_TEXT);
      assert.equal(tokens, model === 'says' ? 58 : LONG);
    }

    for (const heard of all) {
      const { outcome, event } = await gateway.outcome(heard.id);
      // Whoever was still on his way into the child that died has cost nothing, and gets his request back.
      assert.equal(outcome, heard.error === null ? 'completed' : heard.status === 200 ? 'failed' : 'not_run');
      const recorded = Number(event['completion_tokens'] ?? 0);
      if (heard.error === null) assert.equal(recorded, heard.tokens);
      else assert.ok(recorded >= heard.pieces, `${recorded} recorded, ${heard.pieces} pieces were shown`);
    }
    assert.equal(left.error, null);
    const { outcome, event } = await gateway.outcome(left.id);
    assert.equal(outcome, 'client_closed');
    assert.ok(Number(event['completion_tokens']) >= left.pieces && Number(event['completion_tokens']) < ENDLESS);

    await eventually(async () => (await modelOf('third')).state === 'ready');
    const answer = await client('third');
    assert.equal(answer.text, 'A third model.');
    const third = await gateway.outcome(answer.id);
    assert.deepEqual([third.outcome, third.event['completion_tokens']], ['completed', answer.tokens]);
    // One end for each that began, and nobody is still at it.
    const [books] = await gateway.database.sql<{ intents: string; ends: string; open: string }>(
      `SELECT count(*) FILTER (WHERE kind = 'intent') AS intents, count(*) FILTER (WHERE kind = 'outcome') AS ends,
              (SELECT count(*) FROM open_intent) AS open
         FROM entry WHERE action = 'infer'`,
    );
    assert.deepEqual(Object.values(present(books)).map(Number), [CLIENTS + 1, CLIENTS + 1, 0]);
  });

  it('nothing is left behind: no slot, no waiting request, and memory within the budget', async () => {
    const { data, memory } = await eventually(async () => {
      const list = await models();
      return list.data.every(({ busy, queued }) => busy === 0 && queued === 0) && list;
    });
    assert.ok(memory.used.ram <= memory.budget.ram, `${memory.used.ram} of ${memory.budget.ram}`);
    for (const model of data) {
      assert.ok(present(model.memory.estimated).ram > 100_000_000);
      assert.ok(present(model.memory.measured).ram > 50_000_000, `${model.id}: ${model.memory.measured?.ram}`);
    }
    assert.equal(data.filter(({ state }) => state === 'ready').length, 1);
  });

  it('who came, went, was woken and died is on the record as the gateway’s own doing', async () => {
    const rows = await gateway.database.sql<{ action: string }>(
      "SELECT DISTINCT action FROM entry WHERE kind = 'system' AND actor = 'system' AND resource LIKE 'model:%' ORDER BY 1",
    );
    assert.deepEqual(
      rows.map(({ action }) => action),
      ['model.crashed', 'model.evicted', 'model.loaded', 'model.woken'],
    );
  });

  it('an admin sees it happen as server-sent events, and the stream ends with his session', async () => {
    const answer = await gateway.client.open('GET', '/admin/models/events', { headers: admin.bearer });
    assert.equal(answer.status, 200);
    const seen: string[] = [];
    const waking = client('says');
    let ended = false;
    for await (const event of answer.events()) {
      const list = JSON.parse(event) as AdminModelList & { error?: unknown };
      if (list.data === undefined) {
        ended = true;
        break;
      }
      const state = present(list.data.find(({ id }) => id === 'says')).state;
      if (seen.at(-1) === state) continue;
      seen.push(state);
      if (state !== 'ready') continue;
      await waking;
      const out = await gateway.client.request('POST', '/auth/logout', { headers: admin.bearer });
      assert.equal(out.status, 204);
    }
    assert.deepEqual([seen.at(0), seen.at(-1)], ['unloaded', 'ready']);
    assert.ok(ended);
  });
});
