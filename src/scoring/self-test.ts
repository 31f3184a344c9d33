import type { Mode } from './descriptor.shared.ts';

/** The largest error that a test vector may show. */
export const MAX_ERROR = 1e-5;

export interface SelfTestAnswer {
  readonly t: 'tested';
  /** Largest difference between a decrypted score and what the document says. */
  readonly worst: number;
  /** Processor time of one request, in microseconds. */
  readonly cost: Readonly<Partial<Record<Mode, number>>>;
}
