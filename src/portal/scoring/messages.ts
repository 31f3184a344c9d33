import type { Mode } from '#scoring/descriptor.shared.ts';
import type { DescriptorAnswer } from '#scoring/scoring.contract.ts';

/** What the page asks of its worker. The secret key and the features never leave the worker; frames and scores do. */
export type Ask =
  | { readonly op: 'open'; readonly descriptor: DescriptorAnswer }
  | { readonly op: 'read'; readonly file: Blob }
  | { readonly op: 'one'; readonly row: readonly number[] }
  | {
      readonly op: 'encrypt';
      readonly mode: Mode;
      readonly from: number;
      readonly to: number;
      readonly session: string;
    }
  | { readonly op: 'decrypt'; readonly mode: Mode; readonly frame: Uint8Array };

export interface Answers {
  /** The frame that opens a session. */
  readonly open: Uint8Array<ArrayBuffer>;
  readonly read: { readonly names: readonly string[] };
  readonly one: null;
  readonly encrypt: Uint8Array<ArrayBuffer>;
  readonly decrypt: readonly number[];
}

export type Said =
  | { readonly id: number; readonly ok: true; readonly answer: Answers[keyof Answers] }
  | { readonly id: number; readonly ok: false; readonly code: string; readonly line: number; readonly column: string };
