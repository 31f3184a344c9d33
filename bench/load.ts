// The load, run as a child: a closed loop on each of its keep-alive connections, the next request as soon as the answer
// to the last one is whole. The same client for everything that is measured, so that what it costs itself, TLS included,
// is the same for all. Connections are opened before the clock starts: a handshake is not part of a request.
import type { Socket } from 'node:net';
import { connectTo } from './connection.ts';
import { MessageReader } from './http-framing.ts';
import type { LoadJob, LoadResult } from './load-job.ts';
import { cpuSeconds } from './process-times.ts';
import { ANSWER } from './question.ts';

/** 20 s without an answer: something is wrong that waiting does not mend. */
const STALLED_MS = 20_000;

type Phase = 'warm' | 'measured' | 'over';

class Loop {
  readonly #job: LoadJob;
  readonly #latencies: number[] = [];
  #phase: Phase = 'warm';
  #answers = 0;
  #wrong = 0;
  #firstWrong: string | null = null;

  constructor(job: LoadJob) {
    this.#job = job;
  }

  async run(): Promise<LoadResult> {
    const { connections, requests, warmMs, measureMs, processes, ca, port, ports = [port] } = this.#job;
    const sockets = await Promise.all(
      Array.from({ length: connections }, (_, index) => connectTo({ ca, port: ports[index % ports.length] ?? port })),
    );
    const loops = sockets.map((socket, index) => this.#ask(socket, requests[index % requests.length] ?? ''));
    const all = Promise.all(loops);
    const tooEarly = all.then(failEarly);
    await Promise.race([sleep(warmMs), tooEarly]);
    const cpuBefore = cpuSeconds(processes);
    this.#phase = 'measured';
    const startedAt = performance.now();
    await Promise.race([sleep(measureMs), tooEarly]);
    const seconds = (performance.now() - startedAt) / 1000;
    this.#phase = 'over';
    const cpuAfter = cpuSeconds(processes);
    await all;
    for (const socket of sockets) socket.destroy();
    const sorted = Float64Array.from(this.#latencies).sort();
    return {
      answers: this.#answers,
      wrong: this.#wrong,
      firstWrong: this.#firstWrong,
      perSecond: sorted.length / seconds,
      p50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN,
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
      cpuMicroseconds: cpuAfter.map((after, index) => {
        const before = cpuBefore[index] ?? null;
        return after === null || before === null ? null : ((after - before) / sorted.length) * 1e6;
      }),
    };
  }

  /** One connection until the time is over. Rejects when it breaks. */
  #ask(socket: Socket, request: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const bytes = Buffer.from(request, 'latin1');
    const reader = new MessageReader();
    let askedAt = performance.now();
    socket.setTimeout(STALLED_MS, () => socket.destroy(new Error('no answer')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed a connection')));
    socket.on('data', (chunk) => {
      for (const { head, body } of reader.push(chunk)) {
        const now = performance.now();
        if (this.#phase === 'measured') this.#latencies.push(now - askedAt);
        this.#answers++;
        if (!head.startsWith('HTTP/1.1 200 ') || !body.includes(ANSWER.text)) this.#note(head, body);
        if (this.#phase === 'over') return resolve();
        askedAt = now;
        socket.write(bytes);
      }
    });
    socket.write(bytes);
    return promise;
  }

  #note(head: string, body: string): void {
    this.#wrong++;
    this.#firstWrong ??= `${head.split('\r\n', 1)[0]} ${body.slice(0, 200)}`;
  }
}

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

const failEarly = (): never => {
  throw new Error('every connection ended before its time');
};

process.on('message', (job: LoadJob) => {
  new Loop(job).run().then(
    (result) => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));
