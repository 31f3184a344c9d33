// The load of streamed answers, run as a child: reads every event as it comes and notes when.
import type { Socket } from 'node:net';
import { connectTo } from './connection.ts';
import { AnswerReader, type StreamedAnswer } from './event-stream.ts';
import { cpuSeconds } from './process-times.ts';
import type { StreamJob, StreamResult } from './stream-job.ts';

/** Nothing that is measured is silent for so long. */
const STALLED_MS = 120_000;

async function run(job: StreamJob): Promise<StreamResult> {
  const { lines, processes } = job;
  const sockets = await Promise.all(lines.map(() => connectTo(job)));
  const before = cpuSeconds(processes);
  const answers = await Promise.all(
    lines.map(({ startMs, requests }, index) => askAll(sockets[index] as Socket, startMs, requests)),
  );
  const after = cpuSeconds(processes);
  for (const socket of sockets) socket.destroy();
  const spent = after.map((value, index) => {
    const start = before[index] ?? null;
    return value === null || start === null ? null : value - start;
  });
  return { answers, cpuSeconds: spent };
}

/** One connection. Rejects when it breaks. */
function askAll(socket: Socket, startMs: number, requests: readonly string[]): Promise<StreamedAnswer[]> {
  const { promise, resolve, reject } = Promise.withResolvers<StreamedAnswer[]>();
  const answers: StreamedAnswer[] = [];
  let reader = new AnswerReader(0);
  const ask = (): void => {
    reader = new AnswerReader(performance.now());
    socket.write(requests[answers.length] ?? '', 'utf8');
  };
  socket.setTimeout(STALLED_MS, () => socket.destroy(new Error('no answer')));
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the server closed a connection')));
  socket.on('data', (bytes) => {
    try {
      const answer = reader.push(bytes, performance.now());
      if (answer === null) return;
      answers.push(answer);
      if (answers.length === requests.length) resolve(answers);
      else ask();
    } catch (error) {
      reject(error);
    }
  });
  setTimeout(ask, startMs);
  return promise;
}

process.on('message', (job: StreamJob) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: Error) => process.send?.({ error: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));
