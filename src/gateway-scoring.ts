import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Standings } from '#admission/standing.service.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Route } from '#http/route.ts';
import type { Clock } from '#kernel/clock.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import type { Queryable } from '#postgres/pool.ts';
import { EvaluatorPool } from '#scoring/evaluator-pool.node.ts';
import { installationRoutes } from '#scoring/installation.routes.ts';
import { Installation } from '#scoring/installation.service.ts';
import { FIRST_RUN } from '#scoring/installation.ts';
import { ScoreModel } from '#scoring/score-model.contract.ts';
import { postgresScoreModels } from '#scoring/score-models.postgres.ts';
import { scoringRoutes } from '#scoring/scoring.routes.ts';
import { Scoring } from '#scoring/scoring.service.ts';
import { selfTest } from '#scoring/self-test.node.ts';
import { ScoringSessions, SESSION_LIMITS } from '#scoring/sessions.ts';
import { orUnavailable, PROGRAM } from './gateway-database.ts';

export interface ScoringOptions {
  readonly pool: Queryable;
  readonly recorder: Recorder;
  readonly standings: Standings;
  readonly policyVersion: () => number;
  readonly mayUse: (principal: Principal, model: string, address: string) => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** Encrypted scoring, where it is switched on. */
export interface OpenScoring extends AsyncDisposable {
  readonly routes: Route[];
  /** Null for a model that is not installed. */
  classificationOf(id: string): number | null;
  readings(): { readonly sessions: number; readonly keyBytes: number };
  /** Puts the built-in model into service where none was ever installed, while the gateway already answers. */
  installBuiltIn(): void;
}

const BUILT_IN = join(PROGRAM, 'models', 'demo', 'credit-risk', 'credit-risk.json');

export async function openScoring(options: ScoringOptions): Promise<OpenScoring> {
  const { pool, recorder, standings, policyVersion, mayUse, clock, log } = options;
  await using stack = new AsyncDisposableStack();
  const store = orUnavailable(postgresScoreModels(pool));
  const evaluators = stack.use(new EvaluatorPool());
  const sessions = new ScoringSessions(clock.monotonic);
  const scoring = stack.use(
    new Scoring({
      store,
      evaluators,
      sessions,
      sha256: sha256Hex,
      newSession: () => randomBytes(16).toString('hex'),
      watch: (principal, end) =>
        standings.watch(
          { credential: principal.credential, epoch: principal.epoch, policyVersion: policyVersion() },
          end,
        ),
      log,
    }),
  );
  await scoring.refresh();
  const refresh = scoring.refresh.bind(scoring);
  const installation = new Installation({ store, recorder, selfTest, sha256: sha256Hex, refresh });
  let installing: Promise<void> | null = null;
  const opened = stack.move();
  return {
    routes: [
      ...scoringRoutes({ scoring, mayUse, sessionSeconds: SESSION_LIMITS.idleMs / 1000 }),
      ...installationRoutes(installation),
    ],
    classificationOf: (id) => scoring.get(id)?.classification ?? null,
    readings: () => ({ sessions: sessions.size, keyBytes: sessions.bytes }),
    installBuiltIn: () => {
      installing = installBuiltIn(installation).catch((error: unknown) => {
        log.warn('the built-in score model is not in service', { error });
      });
    },
    [Symbol.asyncDispose]: async () => {
      await installing;
      await opened.disposeAsync();
    },
  };
}

async function installBuiltIn(installation: Installation): Promise<void> {
  if ((await installation.all()).length > 0) return;
  const document = ScoreModel.parse(JSON.parse(await readFile(BUILT_IN, 'utf8')));
  await installation.install(document, 0, FIRST_RUN);
}
