import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** Asks a person at the terminal, or takes the next line of standard input where there is none. */
export interface Terminal extends Disposable {
  ask(question: string): Promise<string>;
  /** What is typed is not shown, and taken exactly as it is. */
  askSecret(question: string): Promise<string>;
}

export function openTerminal(): Terminal {
  let hidden = false;
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (!hidden) process.stderr.write(chunk);
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output, terminal: process.stdin.isTTY === true });
  const waiting: string[] = [];
  const takers: ((line: string | null) => void)[] = [];
  let ended = false;
  lines.on('line', (line) => {
    const taker = takers.shift();
    if (taker) taker(line);
    else waiting.push(line);
  });
  lines.on('close', () => {
    ended = true;
    for (const taker of takers.splice(0)) taker(null);
  });
  const next = async (question: string): Promise<string> => {
    process.stderr.write(question);
    const line =
      waiting.shift() ?? (ended ? null : await new Promise<string | null>((resolve) => takers.push(resolve)));
    if (line === null) throw new Error('the input ended before the question was answered');
    return line;
  };
  return {
    ask: async (question) => (await next(question)).trim(),
    askSecret: async (question) => {
      hidden = true;
      try {
        return await next(question);
      } finally {
        hidden = false;
        process.stderr.write('\n');
      }
    },
    [Symbol.dispose]: () => lines.close(),
  };
}
