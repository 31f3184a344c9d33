import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { GatewayProcess } from '../harness/gateway-process.ts';

const LANES = 50;
const EACH = 200;

describe('promise 9: guessing is bounded over gateway processes', () => {
  let one: GatewayProcess;
  let two: GatewayProcess;
  before(async () => {
    const config = { models: {}, log: { level: 'error' } };
    one = await GatewayProcess.start(config);
    two = await GatewayProcess.start(config, one.dataDir);
  });
  after(async () => {
    await two?.[Symbol.asyncDispose]();
    await one?.[Symbol.asyncDispose]();
  });

  it('10,000 guesses at once over two processes on one database: five are judged, and no session is opened', async () => {
    const { username, password } = one.account('auditor');
    const codes = new Map<string, number>();
    const lane = async (gateway: GatewayProcess, number: number) => {
      for (let n = 0; n < EACH; n++) {
        // The right password is among them, late: the lock holds it off like any other.
        const guess = n === EACH - 1 ? password : `guess ${number} ${n}`;
        const { code, status } = await gateway.client.post('/auth/login', { username, password: guess });
        const told = code ?? String(status);
        codes.set(told, (codes.get(told) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number % 2 ? one : two, number)));
    const total = [...codes.values()].reduce((sum, n) => sum + n, 0);
    assert.equal(total, LANES * EACH);
    const judged = total - (codes.get('too_many_attempts') ?? 0);
    // A lock of one minute that runs out while they come gives five more, then two minutes: never more than that.
    const [row] = await one.database.sql<{ locks: number }>('SELECT max(locks) AS locks FROM guess');
    assert.ok(row !== undefined && row.locks >= 1 && judged === 5 * row.locks, `${judged} judged, ${row?.locks} locks`);
    assert.equal(codes.get('invalid_credentials'), judged);
    const [sessions] = await one.database.sql<{ n: string }>(
      'SELECT count(*) AS n FROM session s JOIN account a ON a.id = s.account_id WHERE a.username = $1',
      [username],
    );
    assert.equal(sessions?.n, '0');
  });
});
