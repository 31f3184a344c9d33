import { TestGateway } from '../test/harness/gateway.ts';

const LEAST = 300;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/**
 * How long a sign-in takes for a name that somebody has and for one that nobody has: promise 9 asks for medians within 5 %.
 * Prints, and writes nothing.
 */
export async function runLoginTiming(args: readonly string[]): Promise<void> {
  const n = Math.max(LEAST, Number(args[0] ?? LEAST));
  await using test = await TestGateway.open({ models: {} });
  const { username } = test.account('auditor');
  const times: Record<'known' | 'unknown', number[]> = { known: [], unknown: [] };
  const measure = async (kind: keyof typeof times, name: string): Promise<void> => {
    const started = performance.now();
    const { status } = await test.client.post('/auth/login', { username: name, password: 'not the password at all' });
    times[kind].push(performance.now() - started);
    if (status !== 401) throw new Error(`${kind}: ${status}`);
  };
  // By turns, so that whatever else the machine does falls on both alike; never as many as would lock the account.
  for (let at = 0; at < n + 20; at++) {
    if (at % 4 === 0) await test.database.sql('DELETE FROM guess');
    const [first, second] = at % 2 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const);
    for (const kind of [first, second]) await measure(kind, kind === 'known' ? username : `nobody-${at}`);
  }
  const [known, unknown] = [median(times.known.slice(20)), median(times.unknown.slice(20))];
  process.stdout.write(
    `n = ${n} each; known ${known.toFixed(2)} ms, unknown ${unknown.toFixed(2)} ms, ratio ${(unknown / known).toFixed(4)}\n`,
  );
}
