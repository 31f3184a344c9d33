import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Dispatcher } from 'undici';
import { UpstreamAnswer, UpstreamError } from '#engine/upstream/answer.upstream.ts';
import { Turns } from '#engine/upstream/turns.upstream.ts';

const immediate = () => new Promise(setImmediate);
const PATIENCE = { firstByteMs: 60_000, nextByteMs: 60_000, answerMs: 60_000 };
const controller = { pause: () => {}, resume: () => {}, abort: () => {} } as unknown as Dispatcher.DispatchController;

/** An answer whose first chunk was read, and whose reader waits for the next. */
async function waitedFor(turns: Turns) {
  const answer = new UpstreamAnswer(PATIENCE, false, turns);
  answer.onRequestStart(controller);
  answer.onResponseStart(controller, 200, {});
  answer.onResponseData(controller, Buffer.from('first'));
  assert.equal(String(await answer.read()), 'first');
  const got: string[] = [];
  const read = async (): Promise<void> => {
    for (let chunk = await answer.read(); chunk !== null; chunk = await answer.read()) got.push(String(chunk));
    got.push('end');
  };
  const reading = read();
  return { answer, got, reading, say: (text: string) => answer.onResponseData(controller, Buffer.from(text)) };
}

describe('the readers of many streams', () => {
  it('go on in their order, some at a time: what else has come is not behind all of them', async () => {
    const turns = new Turns();
    const gone: number[] = [];
    for (let at = 0; at < 200; at++) turns.wait(() => void gone.push(at));
    assert.equal(gone.length, 0);
    const counts: number[] = [];
    while (gone.length < 200) {
      await immediate();
      counts.push(gone.length);
    }
    assert.deepEqual(
      gone,
      Array.from({ length: 200 }, (_, at) => at),
    );
    assert.deepEqual(counts, [50, 88, 120, 152, 184, 200]);
    turns.wait(() => void gone.push(-1));
    await immediate();
    assert.equal(gone.at(-1), -1);
  });

  it('the first of an answer waits for nobody, and the rest finds its reader in his turn, in order', async () => {
    const { got, say, answer, reading } = await waitedFor(new Turns());
    say('a');
    say('b');
    await Promise.resolve();
    assert.deepEqual(got, []);
    await immediate();
    assert.deepEqual(got, ['a', 'b']);
    say('c');
    answer.onResponseEnd();
    await reading;
    assert.deepEqual(got, ['a', 'b', 'c', 'end']);
  });

  it('is given what came before the connection broke, and nothing of what he has ended himself', async () => {
    const broken = await waitedFor(new Turns());
    broken.say('a');
    broken.answer.onResponseError(controller, new Error('reset'));
    await assert.rejects(broken.reading, UpstreamError);
    assert.deepEqual(broken.got, ['a']);

    const left = await waitedFor(new Turns());
    left.say('a');
    left.answer.end(new Error('enough'));
    await assert.rejects(left.reading, /enough/);
    await immediate();
    assert.deepEqual(left.got, []);
  });
});
