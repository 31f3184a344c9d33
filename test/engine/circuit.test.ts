import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Circuit } from '#engine/upstream/circuit.ts';

describe('a circuit breaker', () => {
  let now: number;
  let changes: string[];
  let circuit: Circuit;
  beforeEach(() => {
    now = 0;
    changes = [];
    circuit = new Circuit(
      { failures: 3, openMs: 1000 },
      () => now,
      () => changes.push(circuit.state),
    );
  });
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) circuit.failed('answered', `usr_${i}`);
  };

  it('opens after so many failures in a row, not before, and an answer in between begins anew', () => {
    fail(2);
    circuit.succeeded();
    fail(2);
    assert.deepEqual([circuit.state, circuit.admits], ['closed', true]);
    fail(1);
    assert.deepEqual([circuit.state, circuit.admits, circuit.waitMs], ['open', false, 1000]);
    assert.deepEqual(changes, ['open']);
  });

  it('lets one in on trial when the time is over: it closes, or stays open for as long again', () => {
    fail(3);
    now = 999;
    assert.equal(circuit.admits, false);
    now = 1000;
    assert.deepEqual([circuit.state, circuit.admits], ['half_open', true]);
    assert.equal(circuit.begin(), true);
    assert.equal(circuit.admits, false, 'one at a time');
    circuit.failed('answered', 'usr_x');
    assert.deepEqual([circuit.state, circuit.waitMs], ['open', 1000]);
    now = 2000;
    circuit.begin();
    circuit.answering();
    assert.deepEqual([circuit.state, circuit.admits], ['closed', true]);
    assert.deepEqual(changes, ['open', 'closed'], 'what happens while it is open is nobody’s news');
  });

  it('gives the trial to the next one when nothing was learnt', () => {
    fail(3);
    now = 1000;
    const isTrial = circuit.begin();
    circuit.abandoned(false);
    assert.equal(circuit.admits, false);
    circuit.abandoned(isTrial);
    assert.equal(circuit.admits, true);
  });

  it('one user’s questions alone do not take a server from the others; what nobody is to blame for counts', () => {
    for (let i = 0; i < 10; i++) circuit.failed('answered', 'usr_a');
    assert.equal(circuit.state, 'closed');
    circuit.failed('answered', 'usr_b');
    circuit.failed('answered', 'usr_a');
    assert.equal(circuit.state, 'open');
    const other = new Circuit(
      { failures: 3, openMs: 1000 },
      () => now,
      () => {},
    );
    for (let i = 0; i < 3; i++) other.failed('unreachable', 'usr_a');
    assert.equal(other.state, 'open');
  });

  it('a probe closes it where the server could not be reached, and not where its answers were no good', () => {
    for (let i = 0; i < 3; i++) circuit.failed('unreachable', null);
    circuit.probed(true, false);
    assert.equal(circuit.state, 'closed');
    fail(3);
    circuit.probed(true, false);
    assert.equal(circuit.state, 'open');
  });

  it('the first probe decides at once, later ones count like anything else', () => {
    circuit.probed(false, true);
    assert.equal(circuit.state, 'open');
    circuit.probed(true, false);
    circuit.probed(false, false);
    circuit.probed(false, false);
    circuit.probed(true, false);
    circuit.probed(false, false);
    assert.equal(circuit.state, 'closed');
  });
});
