import { pino } from 'pino';
import type { Log, LogFields } from '#kernel/log.ts';

/** The names that may stand in a line. Everything else is dropped, whoever hands it in. */
const ALLOWED: readonly (keyof LogFields)[] = [
  'requestId',
  'route',
  'method',
  'status',
  'code',
  'durationMs',
  'model',
  'instance',
  'pid',
  'signal',
  'exitCode',
  'count',
  'seq',
  'address',
  'file',
  'state',
  'version',
];

/** Structured lines on standard error, so that what a command prints stays its own. */
export function pinoLog(level: string): Log {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 2, sync: false }),
  );
  const write =
    (at: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}) =>
      logger[at](allowed(fields), message);
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

function allowed(fields: LogFields): Record<string, unknown> {
  const line: Record<string, unknown> = {};
  for (const name of ALLOWED) {
    const value = fields[name];
    if (typeof value === 'string') line[name] = value.slice(0, 256);
    else if (typeof value === 'number') line[name] = value;
  }
  if (fields.error !== undefined) line['error'] = errorOf(fields.error);
  return line;
}

/** Sort and SQLSTATE of an error and of what caused it. A database's `detail` and `hint` may quote data: never those. */
function errorOf(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const code = (error as { code?: unknown }).code;
  return {
    type: error.name,
    message: error.message.slice(0, 300),
    ...(typeof code === 'string' ? { code } : {}),
    ...(error.name === 'TypeError' || error.name === 'RangeError'
      ? { stack: error.stack?.split('\n').slice(1, 5) }
      : {}),
    ...(error.cause !== undefined && depth < 3 ? { cause: errorOf(error.cause, depth + 1) } : {}),
  };
}
