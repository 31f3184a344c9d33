import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { batchCommitter } from '#admission/admission.postgres.ts';
import { Ledger } from '#admission/admission.service.ts';
import { AdmissionGate, voidOf } from '#admission/gate.service.ts';
import { postgresLease } from '#admission/lease.postgres.ts';
import { Lease } from '#admission/lease.service.ts';
import { standingChecker } from '#admission/standing.postgres.ts';
import { Standings } from '#admission/standing.service.ts';
import { postgresAuditReader } from '#audit/audit.postgres.ts';
import { auditRoutes } from '#audit/audit.routes.ts';
import { SYSTEM } from '#audit/event.ts';
import { postgresHolds } from '#audit/hold.postgres.ts';
import { holdRoutes } from '#audit/hold.routes.ts';
import { LateRecords } from '#audit/late-records.service.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { proofRoutes } from '#audit/proof.routes.ts';
import { receiptRoutes } from '#audit/receipt.routes.ts';
import { AuditRecorder } from '#audit/recorder.service.ts';
import { chatRoutes } from '#chat/chat.routes.ts';
import { completionsRoutes } from '#completions/completions.routes.ts';
import type { Config } from '#config/schema.ts';
import { embeddingsRoutes } from '#embeddings/embeddings.routes.ts';
import { gpuTool, watchGpus } from '#engine/gpu.system.ts';
import { priorityBy } from '#engine/priority.ts';
import { healthRoutes } from '#health/health.routes.ts';
import { Readiness } from '#health/readiness.service.ts';
import { ActiveExchanges } from '#http/exchange.ts';
import { openApiRoute } from '#http/openapi.ts';
import type { Route } from '#http/route.ts';
import { writeFirstRun } from '#identity/first-run.files.ts';
import type { FirstRun } from '#identity/first-run.ts';
import { systemClock } from '#kernel/clock.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { prometheusMetrics } from '#metrics/metrics.prometheus.ts';
import { modelRoutes } from '#models/models.routes.ts';
import { openAccess } from './gateway-access.ts';
import { openAuditTree } from './gateway-audit.ts';
import { openDatabase, openPools, orUnavailable } from './gateway-database.ts';
import { engineEvents, openCatalogue } from './gateway-engines.ts';
import { watchGrowth } from './gateway-growth.ts';
import { openIdentity } from './gateway-identity.ts';
import { openListener } from './gateway-listener.ts';
import { listenForMetrics } from './gateway-metrics.ts';
import { openModels } from './gateway-models.ts';
import { openQuotas } from './gateway-quota.ts';
import { startRetention } from './gateway-retention.ts';
import { type OpenScoring, openScoring } from './gateway-scoring.ts';

export interface GatewayOptions {
  readonly config: Config;
  /** Folder that relative paths of the configuration refer to. */
  readonly base: string;
  readonly log: Log;
}

/** A running gateway. */
export interface Gateway extends AsyncDisposable {
  readonly url: string;
  readonly metricsAddress: string;
  /** What the first run made, in the start that made it. */
  readonly firstRun: FirstRun | null;
  /** Looks for a new certificate now. */
  reloadCertificate(): Promise<boolean>;
  /** Resolves when every model of the catalogue is ready or has failed. */
  readonly modelsSettled: Promise<void>;
}

/**
 * Builds everything and listens. Whatever was opened is closed in reverse order, also when a later step fails.
 *
 * @throws Error with a sentence for the operator when something needed is missing or unsafe.
 */
export async function openGateway({ config, base, log }: GatewayOptions): Promise<Gateway> {
  await using stack = new AsyncDisposableStack();
  const clock = systemClock;
  const dataDir = resolve(base, config.dataDir);
  const instance = `gw_${randomUUID().replaceAll('-', '')}`;
  const zone = config.quota.timeZone;

  const database = stack.use(await openDatabase(config, base, log));
  const pools = openPools(database, config, log);
  stack.defer(() => pools.commit.close());
  stack.defer(() => pools.read.close());
  stack.defer(() => pools.auditor.close());
  const tree = stack.use(await openAuditTree({ config, base, database, pool: pools.read, instance, log }));

  const ledger = stack.use(new Ledger({ commit: batchCommitter(pools.commit, instance, zone), clock, log, voidOf }));
  const submit = tree.unlessFault(ledger.submit.bind(ledger));
  const recorder = stack.use(new AuditRecorder({ submit, clock, log }));
  const { tell } = stack.use(new LateRecords({ submit, clock, log }));
  const lease = stack.use(
    new Lease({ ...postgresLease(pools.read, instance), submit, log, monotonic: clock.monotonic }),
  );
  const standings = stack.use(new Standings({ checkAll: standingChecker(pools.read), clock }));

  const gpus = stack.use(await watchGpus(gpuTool(), log));
  const catalogue = await openCatalogue(config, base, { log, clock, gpus, onEvent: engineEvents(tell) });
  const { engines, attributesOf, sandbox } = catalogue;
  stack.defer(() => engines.close());
  const shared = { config, catalogue, pool: pools.read, instance, recorder, tell, clock, log };
  const { residency, report, replicas } = stack.use(await openModels(shared));

  let scoring: OpenScoring | null = null;
  const policy = await openAccess({
    ...pools,
    ...database,
    stack,
    config,
    recorder,
    modelAttributes: attributesOf,
    scoreClassification: (id) => scoring?.classificationOf(id) ?? null,
    clock,
    log,
  });
  const { access } = policy;

  const people = stack.use(
    await openIdentity({
      config,
      base,
      pool: pools.read,
      recorder,
      clock,
      log,
      dataDir,
      embedded: database.embedded,
      portalUrl: () => listener.url,
      instance,
    }),
  );
  const gate = new AdmissionGate({
    submit,
    recorder,
    budget: recorder.budget,
    findPrincipal: people.principals.find.bind(people.principals),
    loadPolicy: access.load.bind(access),
    decide: access.decide.bind(access),
    bound: (principal, resource, ask) => access.bound(principal, resource, catalogue.withAdapter(resource.id, ask)),
    challenge: people.stepUp.challenge.bind(people.stepUp),
    check: standings.check.bind(standings),
    watch: standings.watch.bind(standings),
    promise: tree.promise,
    positionOf: tree.positionOf,
    hash: sha256Hex,
    clock,
    onLimit: (limit, effect) => metrics.limit(limit, effect),
  });

  if (config.scoring.enabled ?? database.embedded) {
    scoring = stack.use(
      await openScoring({
        pool: pools.read,
        recorder,
        standings,
        policyVersion: () => access.version,
        mayUse: (principal, id, address) =>
          access.decide(principal, 'score', { type: 'score_model', id }, address).allowed,
        clock,
        log,
      }),
    );
    if (database.embedded) scoring.installBuiltIn();
  }
  const readiness = new Readiness(async () => {
    await lease.renew();
    return !listener.server.draining && ledger.state().available && tree.fault() === null;
  }, clock);
  const [proofs, { sha256 }] = [orUnavailable(tree.receipts), nodeCrypto];
  const inference = {
    engine: residency.engine.bind(residency),
    clock,
    priorityOf: priorityBy(config.engine.batchRoles),
    bodyLimit: config.http.bodyLimit,
  };
  const features: Route[] = [
    ...people.routes,
    ...policy.routes,
    ...chatRoutes(inference),
    ...completionsRoutes(inference),
    ...embeddingsRoutes(inference),
    ...modelRoutes({
      ...report,
      others: () => replicas.others,
      mayUse: (principal: Principal, id, address) =>
        access.decide(principal, 'infer', { type: 'model', id }, address).allowed,
      set: residency.set.bind(residency),
      instance,
      created: Math.floor(clock.now() / 1000),
    }),
    ...(scoring?.routes ?? []),
    ...openQuotas({
      pool: pools.read,
      zone,
      recorder,
      models: () => engines.list().map(({ id }) => id),
      mayUse: (principal, id, address) => access.decide(principal, 'infer', { type: 'model', id }, address).allowed,
    }),
    ...auditRoutes({
      reader: orUnavailable(postgresAuditReader(pools.auditor)),
      ...proofs,
      sha256,
      origin: tree.origin,
      signManifest: tree.signManifest,
      rotations: tree.receipts.rotations,
      now: () => new Date(clock.now()),
    }),
    ...proofRoutes({ ...proofs, sha256 }),
    ...holdRoutes({ list: orUnavailable({ list: postgresHolds(pools.read) }).list, recorder }),
    ...receiptRoutes({ ...proofs, ...tree, sha256 }),
    ...healthRoutes(readiness.isReady.bind(readiness), () => ({
      ...(database.separation === 'reduced' ? { db_separation: 'reduced' as const } : {}),
      ...(replicas.differ ? { catalogue: 'differs' as const } : {}),
    })),
  ];
  const active = new ActiveExchanges();
  const growth = stack.use(watchGrowth({ config, base, database, pool: pools.read, log }));
  const metrics = prometheusMetrics({
    // Nothing is asked of an idle gateway: that the database is gone shows in its lease.
    ledger: () => ({ ...ledger.state(), available: ledger.state().available && lease.isHeld && tree.fault() === null }),
    tree: () => ({ ...tree.readings(), refusalSources: recorder.budget.size, growth: growth.last() }),
    models: () => engines.list(),
    activeRequests: () => active.size,
    scoring: () => scoring?.readings() ?? null,
    policy: () => ({ version: access.version, folderDiffers: policy.folderDiffers }),
    replicas: () => replicas.others,
  });
  const listener = await openListener({
    config,
    base,
    log,
    clock,
    gate,
    active,
    routes: [...features, openApiRoute(features)],
    monotonic: clock.monotonic,
    onStray: (reason, address) => {
      metrics.stray(reason);
      recorder.stray(reason, address);
    },
    onEnd: ({ route, requestId }, status, code, durationMs) => {
      metrics.request(route.id, route.method, status, code, durationMs / 1000);
      log.debug('request', {
        route: route.id,
        requestId,
        status,
        code: code ?? '',
        durationMs: Math.round(durationMs),
      });
    },
    onError: ({ route, requestId }, error) => log.error('request failed', { route: route.id, requestId, error }),
  });
  stack.defer(() =>
    listener.server.drain(config.http.drainSeconds * 1000, () => active.cut(new Problem('shutting_down'))),
  );
  stack.defer(listener.stopWatching);
  const metricsServer = stack.use(await listenForMetrics(metrics, { config, base, log }));

  let firstRun: FirstRun | null = null;
  if (database.embedded) {
    const first = { url: listener.url, caFile: listener.caFile ?? '' };
    const accounts = await people.makeFirstAccounts((made) => writeFirstRun(dataDir, { ...first, accounts: made }));
    if (accounts !== null) firstRun = { ...first, accounts };
  }
  await recorder.record({
    kind: 'system',
    actor: SYSTEM,
    action: 'gateway.start',
    resource: `instance:${instance}`,
    outcome: 'completed',
    request: null,
    facts: {
      config_sha256: sha256Hex(JSON.stringify({ ...config, database: null })),
      db_separation: database.separation,
      policy_version: access.version,
      audit_key: await tree.verifierKey(),
      audit_memory: tree.guard.firstUse ? 'first use' : `size ${tree.guard.known.size}`,
      node: process.version,
      sandbox: sandbox === null ? 'none' : `${sandbox.level}, network ${sandbox.network}`,
      models: catalogue.digests,
    },
  });

  if (database.embedded) stack.use(startRetention({ config, base, database, log }));
  const modelsSettled = residency.settled();
  const opened = stack.move();
  return {
    url: listener.url,
    metricsAddress: metricsServer.address,
    firstRun,
    reloadCertificate: listener.reloadCertificate,
    modelsSettled,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
