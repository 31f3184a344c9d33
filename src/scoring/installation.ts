import { SYSTEM } from '#audit/event.ts';
import type { ScoreModelDocument } from './score-model.ts';
import type { InstalledModel } from './score-models.ts';
import type { SelfTestAnswer } from './self-test.ts';

/** Who installs: his id and request, or the first run. */
export interface Installer {
  readonly subject: string;
  readonly request: string | null;
}

export const FIRST_RUN: Installer = { subject: SYSTEM, request: null };

/** Brings score models into service and takes them out; each act is a recorded change. */
export interface InstallationDesk {
  /**
   * Checks a document, runs its test vectors under encryption and makes it the active version.
   *
   * @throws Problem `invalid_parameter` with everything that is wrong, `conflict` for a version that has been given,
   *   `scoring_unavailable`
   */
  install(
    document: ScoreModelDocument,
    classification: number,
    by: Installer,
  ): Promise<SelfTestAnswer & { readonly sha256: string }>;
  /** Another installed version, or null: none. @throws Problem `not_found` */
  activate(id: string, version: number | null, by: Installer): Promise<void>;
  /** Every version of every model. */
  all(): Promise<readonly InstalledModel[]>;
}
