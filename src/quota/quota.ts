export interface Budget {
  readonly limit: number;
  readonly used: number;
}
/** What is left of a subject's day. `day` is a date in the configured zone, `resetsAt` RFC 3339. */
export interface UsageToday {
  readonly day: string;
  readonly resetsAt: string;
  readonly requests: Budget;
  readonly tokens: Budget;
}
export interface UsageStore {
  usageToday(subject: string, roles: readonly string[]): Promise<UsageToday>;
}
