import type { Credential } from '#kernel/principal.ts';
import type { QuotaKind, ScopeType } from '#quota/limit.ts';

/** The columns of a record and its canonical bytes (RFC 8785). Columns stand beside the bytes, never parsed from them. */
export interface RecordText {
  readonly kind: string;
  readonly actor: string;
  readonly action: string;
  readonly resource: string;
  readonly outcome: string;
  readonly request: string | null;
  /** Canonical JSON, well-formed Unicode, at most {@link MAX_EVENT_BYTES}. */
  readonly event: string;
}

/** What is recorded when the database refuses: the record's bytes with another kind, another outcome and the code that it decides on. */
export interface RefusalText {
  readonly kind: string;
  readonly outcome: string;
  /** Where these stand in the record's `event`, in Unicode characters from 0: the code goes from `code` to `rest`. */
  readonly places: readonly [kind: number, outcome: number, code: number, rest: number];
}

export const MAX_EVENT_BYTES = 4096;

/** Something that requests count on: `user:ID`, `key:ID`, `department:NAME`, `model:ID`. */
export interface Counter {
  readonly subject: string;
  /**
   * Of a user: `role:NAME` each, whose limits hold for him where he has none of his own; none found means refusal. Null
   * for a counter of many people, which counts where a limit is set for it.
   */
  readonly roles: readonly string[] | null;
}
/** One request, and tokens: as many of `tokens` as are left, but not fewer than `least`. */
export interface Take {
  readonly counters: readonly Counter[];
  readonly tokens: number;
  readonly least: number;
}

/** What the decision rested on; compared under the head lock with what holds at that moment. */
export interface Standing {
  readonly credential: Credential;
  readonly epoch: number;
  readonly policyVersion: number;
}

interface ItemBase {
  /** Makes a retry harmless: an id is committed once. */
  readonly id: string;
  readonly record: RecordText;
  /** Null: a refusal by the database leaves no single record (it is counted in the minute's summary instead). */
  readonly refusal: RefusalText | null;
}
export interface AdmitItem extends ItemBase {
  readonly op: 'admit';
  readonly standing: Standing;
  /** Null where nothing is counted. */
  readonly take: Take | null;
  /** True where an outcome will follow. */
  readonly open: boolean;
  /** A step-up proof to spend: SHA-256 of the proof, and the operation's digest. */
  readonly proof: { readonly ref: string; readonly digest: string } | null;
}
export interface SettleItem extends ItemBase {
  readonly op: 'settle' | 'close' | 'void';
  /** Event id of the intent. */
  readonly intent: string;
  /** Tokens really used, never more than were reserved; null: all that were. */
  readonly used: number | null;
  /** False: nothing was computed, the request and its tokens are given back. */
  readonly ran: boolean;
  /** Key of the commitments to prompt and answer, 32 bytes in hex. */
  readonly opening: string | null;
}
/**
 * Tokens beside those of an open intent. Not on the record by itself: the intent's outcome says what was taken in all.
 * `take.tokens` below 0 gives back; its counters are those of the admission.
 */
export interface ExtendItem {
  readonly op: 'extend';
  readonly id: string;
  readonly intent: string;
  readonly take: Take;
}
export interface RecordItem extends ItemBase {
  readonly op: 'record';
}
/** A recorded change; `op` and `change` are those of `apply_change` in migrations/. */
export interface ChangeItem extends ItemBase {
  readonly op: 'change';
  readonly name: string;
  readonly change: Readonly<Record<string, unknown>>;
}
export type Item = AdmitItem | ExtendItem | SettleItem | RecordItem | ChangeItem;

/** Where a record stands in the log. `at` has six decimals; `leaf` is the RFC 9162 leaf hash in hex. */
export interface Position {
  readonly seq: number;
  readonly at: string;
  readonly leaf: string;
}
/** One limit of one counter as it stood after an item was judged. */
export interface QuotaState {
  readonly scope: ScopeType;
  readonly kind: QuotaKind;
  /** Null: none, or one that is only tried out. */
  readonly limit: number | null;
  readonly used: number;
}
/** A limit in dry run that this request has gone over. */
export interface Breach {
  readonly scope: ScopeType;
  readonly kind: QuotaKind;
}
/**
 * The database's answer to one item. `admitted`, `extended`, `settled`, `recorded`, `changed` are the wanted ones.
 * `duplicate`: this id was committed before, `code` is the verdict of then; a change or an extension answers as it did then.
 * `late`: the intent was closed already. `quota`: `code` is `KIND:SCOPE`; so it is where an extension got less than it asked.
 */
export interface Verdict {
  readonly verdict:
    | 'admitted'
    | 'revoked'
    | 'stale'
    | 'quota'
    | 'step_up'
    | 'duplicate'
    | 'extended'
    | 'settled'
    | 'late'
    | 'recorded'
    | 'changed'
    | 'refused';
  readonly code: string | null;
  readonly position: Position | null;
  readonly quotas: readonly QuotaState[];
  readonly breaches: readonly Breach[];
  /** Tokens that were taken: of an admission or an extension; below 0 where some were given back. */
  readonly tokens: number;
  /** What a change returns. */
  readonly detail: unknown;
  /** Seconds until the quota day and the minute end. */
  readonly reset: { readonly day: number; readonly minute: number };
}

/** A batch that did not commit. `unknown`: the statement was sent and its fate can't be told. */
export class CommitFailure extends Error {
  readonly fate: 'rolled_back' | 'unknown';
  readonly sqlstate: string | null;
  constructor(fate: 'rolled_back' | 'unknown', sqlstate: string | null, cause: unknown) {
    super(`batch not committed (${fate}, ${sqlstate ?? 'no SQLSTATE'})`, { cause });
    this.fate = fate;
    this.sqlstate = sqlstate;
  }
  /**
   * One item is at fault and not the database: bad data or a constraint (SQLSTATE class 22, 23), a value that an index
   * can't hold or JSON nested too deeply (54), something that `commit_batch` itself refuses (P0).
   */
  get poisoned(): boolean {
    return this.sqlstate !== null && /^(?:22|23|54|P0)/.test(this.sqlstate);
  }
}
