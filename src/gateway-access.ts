import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compilePolicy } from '#access/access.casbin.ts';
import { currentPolicy, postgresPolicies } from '#access/access.postgres.ts';
import { AccessControl } from '#access/access.service.ts';
import type { PolicyText, ResourceAttributes } from '#access/access.ts';
import type { Site } from '#access/context-class.ts';
import { policyRoutes } from '#access/policies.routes.ts';
import { Policies } from '#access/policies.service.ts';
import { type PolicyFolder, policyDigest } from '#access/policies.ts';
import type { Surroundings } from '#access/policy-check.ts';
import { PolicyNews } from '#access/policy-news.postgres.ts';
import { replayPages } from '#access/replay.postgres.ts';
import { replayRoutes } from '#access/replay.routes.ts';
import { Replays } from '#access/replay.service.ts';
import { SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { modelNames } from '#config/models.ts';
import type { Config } from '#config/schema.ts';
import type { Route } from '#http/route.ts';
import type { Clock } from '#kernel/clock.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import { BUILT_IN_MODEL } from '#models/built-in.ts';
import type { GuardedPool } from '#postgres/pool.ts';
import { type DatabaseUrls, orUnavailable, PROGRAM } from './gateway-database.ts';

export interface AccessOptions {
  /** Closes what is opened here. */
  readonly stack: AsyncDisposableStack;
  readonly urls: DatabaseUrls;
  readonly config: Config;
  readonly read: GuardedPool;
  readonly auditor: GuardedPool;
  readonly recorder: Recorder;
  readonly modelAttributes: (model: string) => ResourceAttributes | null;
  /** Null for a score model that does not exist, or where there is no scoring. */
  readonly scoreClassification: (id: string) => number | null;
  readonly clock: Clock;
  readonly log: Log;
}

export interface OpenAccess {
  readonly access: AccessControl;
  readonly routes: Route[];
  /** Whether policies/ beside the program is something else than what is in force. */
  readonly folderDiffers: boolean;
}

/** What time windows, zones and model names mean under this configuration. */
export const siteOf = ({ access, quota }: Config): Site => ({
  timeZone: access.timeZone ?? quota.timeZone,
  networkZones: access.networkZones,
});
export const surroundingsOf = ({ access, models }: Config): Surroundings => ({
  zones: new Set(Object.keys(access.networkZones)),
  models: new Set(models === undefined ? [BUILT_IN_MODEL.id] : modelNames(models)),
});

/** @throws Error for a folder without model.conf and policy.csv */
export async function readPolicyFolder(folder: string): Promise<PolicyFolder> {
  const [model, policy] = await Promise.all(
    ['model.conf', 'policy.csv'].map((name) => readFile(join(folder, name), 'utf8')),
  );
  return { model: model ?? '', policy: policy ?? '' };
}

export const SHIPPED_POLICIES = join(PROGRAM, 'policies');

/** Decides, changes and explains. Version 1 of an empty database comes from policies/; then the database alone counts. */
export async function openAccess(options: AccessOptions): Promise<OpenAccess> {
  const { config, read, auditor, recorder, modelAttributes, clock, log } = options;
  const site = siteOf(config);
  const compile = (text: PolicyText) => compilePolicy(text, site);
  const attributesOf = (type: string, id: string) => {
    if (type === 'model') return modelAttributes(id);
    const classification = type === 'score_model' ? options.scoreClassification(id) : 0;
    return classification === null ? null : { classification, owner: '' };
  };
  const folder = await readPolicyFolder(SHIPPED_POLICIES);
  const store = orUnavailable(postgresPolicies(read));
  await seed(read, recorder, folder);
  const access = new AccessControl({
    currentPolicy: () => currentPolicy(read),
    compile,
    attributesOf,
    now: clock.now,
    log,
  });
  await access.load();
  const { runtime: url, caFile } = options.urls;
  options.stack.use(new PolicyNews({ url, caFile, onNews: access.load.bind(access), log }));

  const policies = new Policies({
    store,
    recorder,
    compile,
    attributesOf,
    surroundings: surroundingsOf(config),
    site,
    now: clock.now,
    hash: sha256Hex,
    folder,
  });
  const { differs, diff } = await policies.folderDiff();
  if (differs) {
    const lacking = diff.added.map(({ name }) => name);
    log.warn(
      `policies/ is not what is in force (policy ${access.version}): ${lacking.length} rules of it are missing there. ` +
        `To take it: strongroom policy import ${SHIPPED_POLICIES}${
          lacking.includes('admin-policy-write') ? ' --break-glass REASON' : ''
        }`,
    );
  }
  const page = replayPages(auditor);
  const replays = new Replays({ current: store.current, compile, ...orUnavailable({ page }) });
  return { access, routes: [...policyRoutes(policies), ...replayRoutes(replays)], folderDiffers: differs };
}

async function seed(pool: GuardedPool, recorder: Recorder, folder: PolicyFolder): Promise<void> {
  if ((await currentPolicy(pool)) !== null) return;
  const sha256 = policyDigest(folder, sha256Hex);
  await recorder.change(
    'policy.import',
    { ...folder, sha256, by: SYSTEM, after: 0, reason: 'policies/' },
    {
      kind: 'change',
      actor: SYSTEM,
      action: 'policy.import',
      resource: 'policy:1',
      outcome: 'completed',
      request: null,
      facts: { policy_sha256: sha256 },
    },
  );
}
