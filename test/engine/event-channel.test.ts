import assert from 'node:assert/strict';
import { it } from 'node:test';
import { EventChannel } from '#engine/event-channel.ts';
import { collect } from './demo.ts';

it('hands events over in order, written before or while they are awaited', async () => {
  const channel = new EventChannel<number>();
  channel.push(1);
  channel.push(2);
  const all = collect(channel.read());
  await Promise.resolve();
  channel.push(3);
  channel.end();
  channel.push(4);
  assert.deepEqual(await all, [1, 2, 3]);
});

it('fail lets the reader have what came before; abort does not', async () => {
  for (const [method, expected] of [
    ['fail', [1]],
    ['abort', []],
  ] as const) {
    const channel = new EventChannel<number>();
    const seen: number[] = [];
    channel.push(1);
    channel[method](new Error('why'));
    await assert.rejects(async () => {
      for await (const event of channel.read()) seen.push(event);
    }, /why/);
    assert.deepEqual(seen, expected);
  }
});
