/** `fail`: it does not run so, or not safely. `warn`: it runs, and somebody should know. */
export type FindingStatus = 'ok' | 'warn' | 'fail';

/** What one look at the machine has shown. No secret, and nothing of a user. */
export interface Finding {
  /** What was looked at: `database`, `model demo`. */
  readonly check: string;
  readonly status: FindingStatus;
  readonly says: string;
  /** What to do next; null where nothing is to be done. */
  readonly todo: string | null;
}

export const ok = (check: string, says: string): Finding => ({ check, status: 'ok', says, todo: null });
export const warn = (check: string, says: string, todo: string): Finding => ({ check, status: 'warn', says, todo });
export const fail = (check: string, says: string, todo: string): Finding => ({ check, status: 'fail', says, todo });

/** Bytes as a person reads them. */
export function bytesText(bytes: number): string {
  const [unit, name] = bytes >= 2 ** 30 ? [2 ** 30, 'GiB'] : [2 ** 20, 'MiB'];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}
