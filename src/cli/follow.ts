import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { lineOf } from '#audit/export-lines.ts';
import { tlsSyslog } from '#audit/syslog.tls.ts';
import { LogTail } from '#audit/tail.service.ts';
import { TailFault, type TailSink } from '#audit/tail.ts';
import { filePositions, noPositions } from '#audit/tail-position.files.ts';
import { loadConfig } from '#config/load.ts';
import { systemClock } from '#kernel/clock.ts';
import { rangeOf } from './audit.ts';
import { openLog } from './audit-log.ts';
import { recordUse } from './audit-use.ts';
import type { Invocation } from './verbs.ts';

/** `audit follow`: every record in order, to standard output or to a syslog receiver, until it is interrupted. */
export async function followCommand({ options }: Invocation): Promise<number> {
  const { state, syslog } = options;
  const from = rangeOf(options).from ?? 0;
  const { origin } = loadConfig().config.audit;
  const sink = syslog === undefined ? standardOutput() : tlsSyslog(await receiverOf(syslog, options));
  const positions = state === undefined ? noPositions : filePositions(state, origin);
  const begins = (await positions.load())?.next ?? from;
  await recordUse('audit.follow', { from: begins, target: syslog ?? 'stdout' });

  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const tail = new LogTail({
    open: async () => {
      const log = await openLog();
      const { source } = log;
      return {
        extent: source.extent.bind(source),
        pages: source.pages.bind(source),
        readNode: source.readNode,
        [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
      };
    },
    sink,
    positions,
    clock: systemClock,
    wait: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }).catch(() => undefined),
    onTrouble: (error, delayMs) =>
      process.stderr.write(`strongroom: ${(error as Error).message}; again in ${delayMs} ms\n`),
    from,
  });
  await tail.run(stop.signal);
  return 0;
}

async function receiverOf(text: string, { ca, cert, key }: Invocation['options']) {
  const [, host, port = '6514'] = /^tls:\/\/(\[[0-9a-fA-F:]+\]|[^:/]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (host === undefined) throw new Error('--syslog takes tls://HOST[:PORT]');
  if ((cert === undefined) !== (key === undefined)) throw new Error('--cert and --key go together');
  const read = async (name: 'ca' | 'cert' | 'key', file: string | undefined) =>
    file === undefined ? {} : { [name]: await readFile(file) };
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: Number(port),
    ...(await read('ca', ca)),
    ...(await read('cert', cert)),
    ...(await read('key', key)),
  };
}

/** JSON Lines as in an export. A record counts as handed on when the pipe has taken it. */
function standardOutput(): TailSink {
  return {
    confirmAfter: { milliseconds: 0, records: 1 },
    write: (rows) =>
      new Promise((resolve, reject) => {
        const text = rows.map((row) => lineOf('jsonl', row)).join('');
        process.stdout.write(text, (error) =>
          error ? reject(new TailFault('standard output was closed')) : resolve(),
        );
      }),
    confirm: async () => {},
    reset: () => {},
  };
}
