import type { ScoreModelDocument } from './score-model.ts';

/** One installed version. */
export interface InstalledModel {
  readonly id: string;
  readonly version: number;
  /** SHA-256 of the document as it is stored, hex. */
  readonly sha256: string;
  readonly document: ScoreModelDocument;
  readonly classification: number;
  readonly active: boolean;
  readonly installedBy: string;
  /** RFC 3339. */
  readonly installedAt: string;
}

export interface ScoreModelStore {
  /** Of every model the active version. */
  active(): Promise<readonly InstalledModel[]>;
  /** Every version of every model. */
  all(): Promise<readonly InstalledModel[]>;
}
