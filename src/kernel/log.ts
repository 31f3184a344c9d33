/**
 * What may appear in a log line: an allow-list of names, so that nobody logs a body, a header or a name by accident.
 * Values are short strings and numbers. `error` is reduced to its type, message and SQLSTATE by the adapter.
 */
export interface LogFields {
  readonly requestId?: string;
  readonly route?: string;
  readonly method?: string;
  readonly status?: number;
  readonly code?: string;
  readonly durationMs?: number;
  readonly model?: string;
  readonly instance?: string;
  readonly pid?: number;
  readonly signal?: string;
  readonly exitCode?: number;
  readonly count?: number;
  readonly seq?: number;
  readonly address?: string;
  readonly file?: string;
  readonly state?: string;
  readonly version?: string;
  readonly error?: unknown;
}

/** Structured log. MUST NOT throw, MUST NOT write a field that is not in {@link LogFields}. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
