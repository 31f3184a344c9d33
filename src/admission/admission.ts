import type { Credential } from '#kernel/principal.ts';

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

/** What is recorded when the database refuses: the bytes before and after the code that the database decides on. */
export interface RefusalText {
  readonly kind: string;
  readonly outcome: string;
  readonly event: readonly [before: string, after: string];
}

export const MAX_EVENT_BYTES = 4096;

/** What is counted, and per what. The day is the database's, in the configured time zone. */
export type QuotaKind = 'requests_day' | 'tokens_day';
export interface Take {
  readonly subject: string;
  readonly kind: QuotaKind;
  readonly amount: number;
  /** `user:<id>` and `role:<name>`: where limits are looked up. None found means refusal. */
  readonly scopes: readonly string[];
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
  readonly takes: readonly Take[];
  /** True where an outcome will follow. */
  readonly open: boolean;
  /** A step-up proof to spend: SHA-256 of the proof, and the operation's digest. */
  readonly proof: { readonly ref: string; readonly digest: string } | null;
}
export interface SettleItem extends ItemBase {
  readonly op: 'settle' | 'close' | 'void';
  /** Event id of the intent. */
  readonly intent: string;
  /** What was really used; a kind that is absent is charged as reserved. */
  readonly used: Partial<Record<QuotaKind, number>>;
  /** Key of the commitments to prompt and answer, 32 bytes in hex. */
  readonly opening: string | null;
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
export type Item = AdmitItem | SettleItem | RecordItem | ChangeItem;

/** Where a record stands in the log. `at` has six decimals; `leaf` is the RFC 9162 leaf hash in hex. */
export interface Position {
  readonly seq: number;
  readonly at: string;
  readonly leaf: string;
}
export interface QuotaState {
  readonly kind: QuotaKind;
  readonly limit: number;
  readonly used: number;
}
/**
 * The database's answer to one item. `admitted`, `settled`, `recorded`, `changed` are the wanted ones.
 * `duplicate`: this id was committed before, `code` is the verdict of then; a change answers as it did then. `late`: the intent was closed already.
 */
export interface Verdict {
  readonly verdict:
    | 'admitted'
    | 'revoked'
    | 'stale'
    | 'quota'
    | 'step_up'
    | 'duplicate'
    | 'settled'
    | 'late'
    | 'recorded'
    | 'changed'
    | 'refused';
  readonly code: string | null;
  readonly position: Position | null;
  readonly quotas: readonly QuotaState[];
  /** What a change returns. */
  readonly detail: unknown;
  /** Seconds until the quota day ends. */
  readonly resetSeconds: number;
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

/** A batch as `commit_batch` in migrations/ takes it, each list as JSON. */
export interface BatchText {
  readonly principals: string;
  readonly quotas: string;
  readonly items: string;
}

/** Principals and quotas once each; items refer to them by their place. */
export function batchText(items: readonly Item[]): BatchText {
  const principals = new Map<string, { index: number; row: object }>();
  const quotas = new Map<string, { index: number; row: object }>();
  const intern = (table: Map<string, { index: number; row: object }>, key: string, row: () => object): number => {
    const known = table.get(key);
    if (known) return known.index;
    const index = table.size;
    table.set(key, { index, row: row() });
    return index;
  };
  const rows = items.map((item) => {
    const row: Record<string, unknown> = {
      op: item.op === 'change' ? item.name : item.op,
      id: item.id,
      ...item.record,
      refused: item.refusal?.event,
      refused_kind: item.refusal?.kind,
      refused_outcome: item.refusal?.outcome,
    };
    if (item.op === 'admit') {
      const { credential, epoch, policyVersion } = item.standing;
      row['principal'] = intern(principals, `${credential.kind} ${credential.ref} ${epoch} ${policyVersion}`, () => ({
        kind: credential.kind,
        ref: credential.ref,
        epoch,
        policy: policyVersion,
      }));
      if (item.takes.length > 0) {
        row['takes'] = item.takes.map(({ subject, kind, scopes }) =>
          intern(quotas, `${kind} ${subject}`, () => ({ subject, kind, scopes })),
        );
        row['amounts'] = item.takes.map((take) => take.amount);
      }
      row['open'] = item.open;
      if (item.proof) {
        row['proof'] = item.proof.ref;
        row['digest'] = item.proof.digest;
      }
    } else if (item.op === 'change') {
      row['change'] = item.change;
    } else if (item.op !== 'record') {
      row['intent'] = item.intent;
      row['used'] = item.used;
      row['opening'] = item.opening;
    }
    return row;
  });
  const list = (table: Map<string, { row: object }>) => JSON.stringify(Array.from(table.values(), ({ row }) => row));
  return { principals: list(principals), quotas: list(quotas), items: JSON.stringify(rows) };
}
