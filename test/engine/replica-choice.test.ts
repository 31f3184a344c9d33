import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { affinityOf, choose, seedOf } from '#engine/upstream/replica-choice.ts';
import { request } from './demo.ts';

const servers = (...busy: number[]) => busy.map((count, at) => ({ busy: count, seed: seedOf(`gpu-${at}:8000`) }));
const user = (content: string) => ({ role: 'user', content }) as const;
const assistant = (content: string) => ({ role: 'assistant', content }) as const;

describe('which server answers', () => {
  it('without a conversation: the least busy one, and of several each in its turn', () => {
    assert.equal(choose(servers(3, 1, 2), null, 0), 1);
    assert.deepEqual(
      [0, 1, 2, 3].map((turn) => choose(servers(0, 0, 0), null, turn)),
      [0, 1, 2, 0],
    );
    assert.equal(choose([], null, 0), -1);
    assert.equal(choose([], 7, 0), -1);
  });

  it('a conversation goes where it was, whatever turn it is and while it grows', () => {
    const first = request({ messages: [{ role: 'system', content: 'Be brief.' }, user('What is a bond?')] });
    const later = { ...first, messages: [...first.messages, assistant('A debt.'), user('And a share?')] };
    assert.equal(affinityOf(first), affinityOf(later));
    const at = choose(servers(0, 0, 0, 0), affinityOf(first), 0);
    for (let turn = 1; turn < 9; turn++) assert.equal(choose(servers(0, 0, 0, 0), affinityOf(later), turn), at);
  });

  it('another user, another beginning, another prompt: another conversation', () => {
    const asked = request();
    const others = [
      { ...asked, subject: 'usr_b' },
      { ...asked, messages: [user('Something else')] },
      { ...asked, messages: [], prompt: 'Once' },
      { ...asked, messages: [], prompt: 'Twice' },
    ];
    assert.equal(new Set([asked, ...others].map(affinityOf)).size, 5);
  });

  it('spreads conversations evenly, and only those of a server that is gone move', () => {
    const keys = Array.from({ length: 3000 }, (_, i) => affinityOf(request({ subject: `usr_${i}` })));
    const all = servers(0, 0, 0);
    const places = keys.map((key) => choose(all, key, 0));
    for (const at of [0, 1, 2]) {
      const share = places.filter((place) => place === at).length / keys.length;
      assert.ok(share > 0.28 && share < 0.39, `${at}: ${share}`);
    }
    const left = all.slice(0, 2);
    for (const [i, key] of keys.entries()) if (places[i] !== 2) assert.equal(choose(left, key, 0), places[i]);
  });

  it('affinity gives way to a server that is much less busy, and no sooner', () => {
    const key = affinityOf(request());
    const at = choose(servers(0, 0), key, 0);
    const loaded = (own: number, other: number) => choose(at === 0 ? servers(own, other) : servers(other, own), key, 0);
    assert.equal(loaded(2, 0), at);
    assert.equal(loaded(3, 0), 1 - at);
    assert.equal(loaded(20, 16), at);
    assert.equal(loaded(21, 16), 1 - at);
  });
});
