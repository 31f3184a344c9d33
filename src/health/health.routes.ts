import { PUBLIC, publicRoute, type Reply, type Route } from '#http/route.ts';

/** What whoever runs the gateway should see to, though it works; a word each. */
export interface Remarks {
  /** One database login does what several should. */
  readonly db_separation?: 'reduced';
  /** Gateways of this database do not all offer the same models. */
  readonly catalogue?: 'differs';
}

/** Public and without detail: what is wrong stands in the log and the metrics. */
export function healthRoutes(isReady: () => Promise<boolean>, remarks: () => Remarks): Route[] {
  const live = (id: string, path: string): Route =>
    publicRoute({
      id,
      method: 'GET',
      path,
      summary: 'The process answers',
      access: PUBLIC,
      handle: async () => ({ kind: 'json', body: { status: 'ok' } }),
    });
  return [
    live('health', '/health'),
    live('health.live', '/health/live'),
    publicRoute({
      id: 'health.ready',
      method: 'GET',
      path: '/health/ready',
      summary: 'The gateway takes work: the audit log can be written and it is not stopping',
      access: PUBLIC,
      handle: async (): Promise<Reply> =>
        (await isReady())
          ? { kind: 'json', body: { status: 'ready', ...remarks() } }
          : { kind: 'json', status: 503, body: { status: 'not_ready' }, headers: { 'retry-after': '1' } },
    }),
  ];
}
