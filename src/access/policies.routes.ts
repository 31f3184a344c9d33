import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { Origin } from '#kernel/origin.ts';
import type { Principal, Strength } from '#kernel/principal.ts';
import type { PolicyText } from './access.ts';
import type { Explanation as Explained } from './explanation.ts';
import {
  DiffQuery,
  ExplainQuery,
  Explanation,
  PolicyContent,
  PolicyDiff,
  PolicyImport,
  PolicyImported,
  PolicyList,
  PolicyPath,
  PolicyRollback,
  type PolicyVersion,
} from './policies.contract.ts';
import type { PolicyVersion as Version } from './policies.ts';
import type { PolicyDiff as Diff } from './policy-diff.ts';
import type { Fault } from './policy-text.ts';

interface Actor {
  readonly id: string;
  readonly requestId: string;
  readonly address: string;
  readonly peer: string | null;
  readonly facts: Readonly<Record<string, string>>;
}
interface Imported {
  readonly version: Version;
  readonly warnings: readonly Fault[];
  readonly diff: Diff;
}

/** What the routes need of the service. */
export interface PoliciesPort {
  list(): Promise<readonly Version[]>;
  find(version: number): Promise<PolicyText>;
  folderDiff(): Promise<{ readonly sha256: string; readonly differs: boolean; readonly diff: Diff }>;
  diff(from: number, to: number): Promise<Diff>;
  import(draft: { model?: string | undefined; policy: string }, reason: string, actor: Actor): Promise<Imported>;
  rollback(version: number, reason: string, actor: Actor): Promise<Imported>;
  explain(question: {
    user: string;
    action: string;
    resource: string;
    at?: string | undefined;
    from?: string | undefined;
    strength?: Strength | undefined;
  }): Promise<Explained>;
}

const resource = () => ({ type: 'policy', id: 'policies' });
const read = {
  method: 'GET',
  access: { action: 'policy.read', resource, denial: 'forbidden' },
  credentials: 'session',
  stepUp: NO_STEP_UP,
  counts: 'none',
  records: 'denials',
} as const;
const write = {
  method: 'POST',
  access: { action: 'policy.write', resource, denial: 'forbidden' },
  credentials: 'session',
  counts: 'none',
  records: 'full',
} as const;

/** As large as a policy may be, and what JSON adds to its quotes and line ends. */
const IMPORT_LIMIT = 6 * 1024 * 1024;

/** Reading needs the role; every change a second factor for just this text. */
export function policyRoutes(policies: PoliciesPort): Route[] {
  return [
    route({
      ...read,
      id: 'admin.policies',
      path: '/admin/policies',
      summary: 'The numbered policies, newest first, and whether policies/ is what is in force',
      response: PolicyList,
      handle: async () => {
        const [versions, { sha256, differs, diff }] = await Promise.all([policies.list(), policies.folderDiff()]);
        const answer: PolicyList = {
          current: versions[0]?.version ?? 0,
          folder: { sha256, differs, diff: diffOf(diff) },
          data: versions.map(versionOf),
        };
        return { kind: 'json', body: answer };
      },
    }),
    route<undefined, ExplainQuery>({
      ...read,
      id: 'admin.policies.explain',
      path: '/admin/policies/explain',
      summary: 'Which rule would decide, and what the nearest others ask',
      query: ExplainQuery,
      response: Explanation,
      handle: async ({ query }) => ({ kind: 'json', body: explanationOf(await policies.explain(query)) }),
    }),
    route<PolicyPath>({
      ...read,
      id: 'admin.policies.show',
      path: '/admin/policies/:version',
      summary: 'A policy as it was imported',
      params: PolicyPath,
      response: PolicyContent,
      handle: async ({ params }) => {
        const { version, sha256, model, policy } = await policies.find(Number(params.version));
        return { kind: 'json', body: { version, sha256, model, policy } satisfies PolicyContent };
      },
    }),
    route<PolicyPath, DiffQuery>({
      ...read,
      id: 'admin.policies.diff',
      path: '/admin/policies/:version/diff',
      summary: 'What a policy changed in another, rule by rule',
      params: PolicyPath,
      query: DiffQuery,
      response: PolicyDiff,
      handle: async ({ params, query }) => ({
        kind: 'json',
        body: diffOf(await policies.diff(Number(query.against), Number(params.version))),
      }),
    }),
    route<undefined, undefined, PolicyImport>({
      ...write,
      id: 'admin.policies.import',
      path: '/admin/policies',
      summary: 'Put a new policy in force on every replica',
      stepUp: async (_admin, { body }) => `Put a new policy in force, of ${linesIn(body.policy)} lines`,
      body: PolicyImport,
      bodyLimit: IMPORT_LIMIT,
      response: PolicyImported,
      handle: async (call) => ({
        kind: 'json',
        status: 201,
        body: importedOf(await policies.import(call.body, call.body.reason, actorOf(call))),
      }),
    }),
    route<PolicyPath, undefined, PolicyRollback>({
      ...write,
      id: 'admin.policies.rollback',
      path: '/admin/policies/:version/rollback',
      summary: 'Put an earlier policy in force again, as a new version',
      stepUp: (_admin, { params }) => `Put policy ${params.version} in force again`,
      params: PolicyPath,
      body: PolicyRollback,
      response: PolicyImported,
      handle: async (call) => ({
        kind: 'json',
        status: 201,
        body: importedOf(await policies.rollback(Number(call.params.version), call.body.reason, actorOf(call))),
      }),
    }),
  ];
}

const linesIn = (text: string | undefined): number =>
  (text ?? '').split('\n').filter((line) => /^[pb],/.test(line)).length;

const actorOf = ({ principal, origin }: { readonly principal: Principal; readonly origin: Origin }): Actor => ({
  id: principal.subject,
  ...origin,
  facts: {},
});

const versionOf = ({ version, sha256, createdBy, createdAt, reason, restored }: Version): PolicyVersion => ({
  version,
  sha256,
  created_by: createdBy,
  created_at: createdAt,
  reason,
  restored,
});

const diffOf = ({ model, added, removed, changed }: Diff): PolicyDiff => ({
  model,
  added: [...added],
  removed: [...removed],
  changed: [...changed],
});

const importedOf = ({ version, warnings, diff }: Imported): PolicyImported => ({
  version: versionOf(version),
  warnings: [...warnings],
  diff: diffOf(diff),
});

const explanationOf = ({ allowed, policyVersion, rule, because, rules }: Explained): Explanation => ({
  allowed,
  policy_version: policyVersion,
  rule,
  because,
  rules: rules.map((one) => ({ ...one, conditions: [...one.conditions] })),
});
