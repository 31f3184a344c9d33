import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../harness/gateway.ts';
import { GatewayProcess, PROGRAM, runStrongroom } from '../harness/gateway-process.ts';

describe('strongroom audit follow', () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await GatewayProcess.start();
  });
  after(() => gateway[Symbol.asyncDispose]());

  /** Runs it until `enough` lines have come, and ends it as an operator does. */
  async function follow(enough: number, ...args: string[]): Promise<{ seqs: number[]; code: number }> {
    const child = spawn(process.execPath, [PROGRAM, 'audit', 'follow', ...args], {
      env: { ...process.env, STRONGROOM_DATA_DIR: gateway.dataDir },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const ended = once(child, 'close');
    await eventually(() => text.split('\n').length > enough);
    child.kill('SIGTERM');
    const [code] = (await ended) as [number];
    return {
      seqs: text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).record.seq),
      code,
    };
  }

  it('hands on every record once, over two sessions, each of which is itself on the record', async () => {
    const state = join(gateway.dataDir, 'follow.json');
    const first = await follow(3, '--state', state);
    assert.equal(first.code, 0);
    const { next } = JSON.parse(await readFile(state, 'utf8'));
    assert.equal(next, first.seqs.length);
    await gateway.client.post('/auth/login', { username: 'nobody', password: 'nothing at all' });
    const second = await follow(1, '--state', state);
    const all = [...first.seqs, ...second.seqs];
    assert.deepEqual(
      all,
      all.map((_, n) => n),
    );
    const sessions = await gateway.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE action = 'audit.follow' ORDER BY seq",
    );
    assert.deepEqual(
      sessions.map(({ record }) => [JSON.parse(record).event.from, JSON.parse(record).event.target]),
      [
        [0, 'stdout'],
        [next, 'stdout'],
      ],
    );
  });

  it('takes a receiver that is one', async () => {
    const wrong = await runStrongroom(['audit', 'follow', '--syslog', 'udp://localhost'], {
      STRONGROOM_DATA_DIR: gateway.dataDir,
    });
    assert.deepEqual([wrong.code, wrong.stderr], [1, 'strongroom: --syslog takes tls://HOST[:PORT]\n']);
  });
});
