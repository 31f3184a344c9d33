import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { Rotating } from '#engine/model-spec.ts';
import { gauge } from './gauge.prometheus.ts';
import { type TreeReadings, treeGauges } from './tree.prometheus.ts';
import { type UpstreamReadings, upstreamGauges } from './upstream.prometheus.ts';

export interface Metrics {
  request(route: string, method: string, status: number, code: string | null, seconds: number): void;
  stray(reason: string): void;
  /** A quota refused, or would have; `limit` is `KIND:SCOPE`. */
  limit(limit: string, effect: 'refused' | 'dry_run'): void;
  /**
   * Serves /metrics, to whoever shows `token` where there is one (RFC 6750). Needs nothing but this process. Returns the
   * address and how to stop.
   */
  listen(
    host: string,
    port: number,
    token: Rotating<string> | null,
  ): Promise<{ readonly address: string } & AsyncDisposable>;
}

/** Readings taken when Prometheus asks. */
export interface Readings {
  readonly ledger: () => {
    readonly available: boolean;
    readonly waiting: number;
    readonly unsettled: number;
    readonly batches: number;
    readonly committed: number;
  };
  readonly models: () => readonly {
    readonly id: string;
    readonly state: string;
    readonly busy: number;
    readonly queued: number;
    readonly restarts: number;
    readonly draft: { readonly foreseen: number; readonly right: number } | null;
    readonly upstream?: UpstreamReadings;
  }[];
  readonly activeRequests: () => number;
  readonly tree: () => TreeReadings;
  /** Evaluation keys in memory; null where scoring is off. */
  readonly scoring: () => { readonly sessions: number; readonly keyBytes: number } | null;
  readonly policy: () => { readonly version: number; readonly folderDiffers: boolean };
  /** The other gateways of this database, as they were heard last. */
  readonly replicas: () => readonly { readonly isSameCatalogue: boolean }[];
}

/** No user, prompt or path in a label: routes are names from the table, codes are from the closed list. */
export function prometheusMetrics(readings: Readings): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const requests = new Counter({
    name: 'strongroom_requests_total',
    help: 'Requests answered, by route, method, status and problem code.',
    labelNames: ['route', 'method', 'status', 'code'],
    registers,
  });
  const duration = new Histogram({
    name: 'strongroom_request_duration_seconds',
    help: 'Time from the first step of the pipeline to the last byte.',
    labelNames: ['route'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const strays = new Counter({
    name: 'strongroom_strays_total',
    help: 'Connections and requests that reached no route: TLS and HTTP faults, unknown paths.',
    labelNames: ['reason'],
    registers,
  });
  const limits = new Counter({
    name: 'strongroom_quota_limits_total',
    help: 'Requests and extensions that a quota refused, or would have (dry_run), by kind and scope.',
    labelNames: ['kind', 'scope', 'effect'],
    registers,
  });
  gauge(registry, 'strongroom_requests_active', 'Requests under way.', (set) => set({}, readings.activeRequests()));
  gauge(registry, 'strongroom_policy_version', 'Policy that decides here.', (set) =>
    set({}, readings.policy().version),
  );
  gauge(
    registry,
    'strongroom_policy_folder_differs',
    '1 where policies/ was not what was in force at the start.',
    (set) => set({}, readings.policy().folderDiffers ? 1 : 0),
  );
  gauge(
    registry,
    'strongroom_replicas',
    'Other gateways of this database that are alive, by whether they offer the same models.',
    (set) => {
      const differ = readings.replicas().filter(({ isSameCatalogue }) => !isSameCatalogue).length;
      set({ catalogue: 'same' }, readings.replicas().length - differ);
      set({ catalogue: 'differs' }, differ);
    },
    ['catalogue'],
  );
  gauge(registry, 'strongroom_audit_available', '1 while the audit log can be written.', (set) =>
    set({}, readings.ledger().available ? 1 : 0),
  );
  gauge(registry, 'strongroom_audit_waiting', 'Items that wait for their batch.', (set) =>
    set({}, readings.ledger().waiting),
  );
  gauge(registry, 'strongroom_audit_unsettled', 'Outcomes that are not yet recorded.', (set) =>
    set({}, readings.ledger().unsettled),
  );
  gauge(registry, 'strongroom_audit_batches', 'Batches committed since the start.', (set) =>
    set({}, readings.ledger().batches),
  );
  gauge(registry, 'strongroom_audit_committed', 'Items committed since the start.', (set) =>
    set({}, readings.ledger().committed),
  );
  gauge(
    registry,
    'strongroom_model_ready',
    '1 while the model is ready.',
    (set) => {
      for (const { id, state } of readings.models()) set({ model: id }, state === 'ready' ? 1 : 0);
    },
    ['model'],
  );
  gauge(
    registry,
    'strongroom_model_busy',
    'Conversations that run now.',
    (set) => {
      for (const { id, busy } of readings.models()) set({ model: id }, busy);
    },
    ['model'],
  );
  gauge(
    registry,
    'strongroom_model_queued',
    'Conversations that wait for a slot.',
    (set) => {
      for (const { id, queued } of readings.models()) set({ model: id }, queued);
    },
    ['model'],
  );
  gauge(
    registry,
    'strongroom_model_restarts',
    'Deaths of the engine’s child since the start.',
    (set) => {
      for (const { id, restarts } of readings.models()) set({ model: id }, restarts);
    },
    ['model'],
  );
  gauge(
    registry,
    'strongroom_model_draft_tokens',
    'Tokens that a draft model foresaw since the load, and those of them that were right.',
    (set) => {
      for (const { id, draft } of readings.models()) {
        if (draft === null) continue;
        set({ model: id, kind: 'foreseen' }, draft.foreseen);
        set({ model: id, kind: 'right' }, draft.right);
      }
    },
    ['model', 'kind'],
  );
  gauge(registry, 'strongroom_scoring_sessions', 'Sessions of encrypted scoring whose keys are in memory.', (set) =>
    set({}, readings.scoring()?.sessions ?? 0),
  );
  gauge(registry, 'strongroom_scoring_key_bytes', 'Evaluation keys in memory.', (set) =>
    set({}, readings.scoring()?.keyBytes ?? 0),
  );
  treeGauges(registry, readings.tree);
  upstreamGauges(registry, readings.models);
  return {
    request: (route, method, status, code, seconds) => {
      requests.inc({ route, method, status: String(status), code: code ?? '' });
      duration.observe({ route }, seconds);
    },
    stray: (reason) => strays.inc({ reason }),
    limit: (limit, effect) => {
      const [kind = '', scope = ''] = limit.split(':');
      limits.inc({ kind, scope, effect });
    },
    listen: (host, port, token) => serve(registry, host, port, token),
  };
}

async function serve(
  registry: Registry,
  host: string,
  port: number,
  token: Rotating<string> | null,
): Promise<{ readonly address: string } & AsyncDisposable> {
  const server = createServer(async (request, response) => {
    if (token !== null && !(await isShown(token, request.headers.authorization))) {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
      return;
    }
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': registry.contentType });
    response.end(await registry.metrics());
  });
  server.listen(port, host);
  await once(server, 'listening');
  const { address, port: bound } = server.address() as AddressInfo;
  return {
    address: `${address.includes(':') ? `[${address}]` : address}:${bound}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Hashed, so that the comparison takes as long whatever is shown, of whatever length. */
async function isShown(token: Rotating<string>, authorization = ''): Promise<boolean> {
  await token.reload();
  const hash = (text: string) => createHash('sha256').update(text).digest();
  const [, shown = ''] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
  return timingSafeEqual(hash(shown), hash(token.current));
}
