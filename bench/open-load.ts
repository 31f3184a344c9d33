// The load of an open loop, run as a child: requests fall due at a steady rate, whatever the answers do, and each is timed
// from the moment it was due. A server that stands still for a second makes a thousand requests late, not one.
import type { Socket } from 'node:net';
import { connectTo } from './connection.ts';
import { MessageReader } from './http-framing.ts';
import type { LoadJob, LoadResult } from './load-job.ts';
import { cpuSeconds } from './process-times.ts';
import { ANSWER } from './question.ts';

/** Often enough that a request leaves within a millisecond of its time. */
const TICK_MS = 1;

async function run(job: LoadJob): Promise<LoadResult> {
  const { connections, requests, warmMs, measureMs, processes, perSecond = 1000 } = job;
  const bytes = requests.map((request) => Buffer.from(request, 'latin1'));
  const sockets = await Promise.all(Array.from({ length: connections }, () => connectTo(job)));
  const broken = Promise.withResolvers<never>();
  const free: { readonly socket: Socket; dueAt: number }[] = sockets.map((socket) => ({ socket, dueAt: 0 }));
  const latencies: number[] = [];
  const late: number[] = [];
  let [answers, wrong, asked, over] = [0, 0, 0, false];
  let firstWrong: string | null = null;
  const startedAt = performance.now();
  const measuredFrom = startedAt + warmMs;
  const send = (line: (typeof free)[number], dueAt: number): void => {
    line.dueAt = dueAt;
    line.socket.write(bytes[asked++ % bytes.length] as Buffer);
  };
  for (const line of [...free]) {
    const reader = new MessageReader();
    line.socket.on('error', broken.reject);
    line.socket.on('close', () => over || broken.reject(new Error('the server closed a connection')));
    line.socket.on('data', (chunk) => {
      for (const { head, body } of reader.push(chunk)) {
        if (line.dueAt >= measuredFrom) latencies.push(performance.now() - line.dueAt);
        answers++;
        if (!head.startsWith('HTTP/1.1 200 ') || !body.includes(ANSWER.text)) {
          wrong++;
          firstWrong ??= `${head.split('\r\n', 1)[0]} ${body.slice(0, 200)}`;
        }
        const next = late.shift();
        if (next === undefined) free.push(line);
        else send(line, next);
      }
    });
  }
  let cpuBefore: readonly (number | null)[] = processes.map(() => null);
  let due = 0;
  await Promise.race([
    broken.promise,
    new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const now = performance.now();
        if (now >= measuredFrom && cpuBefore.every((value) => value === null)) cpuBefore = cpuSeconds(processes);
        const end = Math.min(now, measuredFrom + measureMs);
        for (; startedAt + (due * 1000) / perSecond <= end; due++) {
          const dueAt = startedAt + (due * 1000) / perSecond;
          const line = free.pop();
          if (line === undefined) late.push(dueAt);
          else send(line, dueAt);
        }
        if (now < measuredFrom + measureMs || free.length < connections) return;
        clearInterval(timer);
        resolve();
      }, TICK_MS);
    }),
  ]);
  over = true;
  const cpuAfter = cpuSeconds(processes);
  for (const socket of sockets) socket.destroy();
  const sorted = Float64Array.from(latencies).sort();
  return {
    answers,
    wrong,
    firstWrong,
    perSecond: (sorted.length / measureMs) * 1000,
    p50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
    cpuMicroseconds: cpuAfter.map((after, index) => {
      const before = cpuBefore[index] ?? null;
      return after === null || before === null ? null : ((after - before) / sorted.length) * 1e6;
    }),
  };
}

process.on('message', (job: LoadJob) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));
