import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Outlet } from '#engine/child/outlet.ts';

it('what is held back leaves once, before whatever comes after it', () => {
  const sent: string[] = [];
  const outlet = new Outlet<string>((message) => sent.push(message));
  outlet.hold('a');
  assert.deepEqual(sent, []);
  outlet.flush();
  outlet.flush();
  assert.deepEqual(sent, ['a']);
  outlet.hold('b');
  outlet.hold('c');
  outlet.send('d');
  outlet.flush();
  assert.deepEqual(sent, ['a', 'b', 'c', 'd']);
});
