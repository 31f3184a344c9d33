/**
 * The receipt: that a request and its answer are in the log, for its owner to keep and for anybody to check offline with
 * nothing but the log's verifier key. The key is NEVER taken from the receipt: who forges one would put in his own.
 *
 * ```json
 * {
 *   "v": 1,
 *   "origin": "bank.example/strongroom",
 *   "checkpoint": "bank.example/strongroom\n4711\n…base64 root…\n\n— bank.example/strongroom …\n",
 *   "intent":  {"seq": 4701, "record": "{\"at\":…}", "proof": ["base64 of 32 bytes", …]},
 *   "outcome": {"seq": 4705, "record": "{\"at\":…}", "proof": […]},
 *   "opening": "64 hex digits: the key of the commitments to prompt and answer",
 *   "rotations": ["signed notes, where the log has changed its key: key-ring.shared.ts"]
 * }
 * ```
 * `proof` is the RFC 9162, section 2.1.3 inclusion path from the leaf upwards, in the tree of the checkpoint. `outcome`
 * is null while the request runs, `opening` where there is none or it was erased.
 */
import { equalBytes, fromBase64, fromHex, toBase64, toHex, utf8 } from '#kernel/bytes.ts';
import type { Checkpoint } from './checkpoint.shared.ts';
import { KeyRing } from './key-ring.shared.ts';
import { HASH_BYTES, leafHash, type Sha256, verifyInclusion } from './merkle.shared.ts';
import { type NoteCrypto, NoteFault, parseVerifierKey } from './note.shared.ts';
import { committedAnswer, committedPrompt, formOf, type SentAnswer, type SentPrompt } from './receipt-texts.shared.ts';
import { type LogRecord, parseRecord } from './record.shared.ts';

export interface ReceiptRecord {
  readonly seq: number;
  readonly record: string;
  readonly proof: readonly string[];
}

export interface Receipt {
  readonly v: 1;
  readonly origin: string;
  readonly checkpoint: string;
  readonly intent: ReceiptRecord;
  readonly outcome: ReceiptRecord | null;
  readonly opening: string | null;
  /** Absent in receipts of earlier releases. */
  readonly rotations?: readonly string[];
}

/** What the holder says he sent and got. */
export interface ReceiptTexts {
  readonly prompt?: SentPrompt;
  readonly answer?: SentAnswer;
  /** The line of the header `x-audit-promise`, or of a stream's last comment. */
  readonly promise?: string;
}

export type CheckName =
  | 'form'
  | 'key'
  | 'checkpoint'
  | 'intent_record'
  | 'intent_inclusion'
  | 'outcome_record'
  | 'outcome_inclusion'
  | 'pair'
  | 'promise'
  | 'prompt'
  | 'answer';

/** One check; only what was checked is in the list. `detail` says what is wrong, or what has been shown. */
export interface Check {
  readonly name: CheckName;
  readonly ok: boolean;
  readonly detail: string;
  /** The same with `{0}`, `{1}` where `words` stand: for who says it in another language. */
  readonly sentence: string;
  readonly words: readonly string[];
}

/** A sentence with its words. */
export const filled = (sentence: string, words: readonly string[]): string =>
  sentence.replace(/\{(\d)\}/g, (_, at: string) => words[Number(at)] ?? '');

const checkOf = (name: CheckName, ok: boolean, sentence: string, ...words: readonly (string | number)[]): Check => {
  const said = words.map(String);
  return { name, ok, detail: filled(sentence, said), sentence, words: said };
};

/** For a server that makes one. */
export const receiptRecord = (seq: number, record: string, proof: readonly Uint8Array[]): ReceiptRecord => ({
  seq,
  record,
  proof: proof.map(toBase64),
});

/** A receipt is good when every check is. Takes anything for a receipt, and never throws for what is in it. */
export async function verifyReceipt(
  crypto: NoteCrypto,
  receipt: unknown,
  verifierKey: string,
  texts: ReceiptTexts = {},
): Promise<Check[]> {
  if (!isReceipt(receipt)) return [checkOf('form', false, 'this is no receipt')];
  const checks: Check[] = [];
  const add: Add = (...said) => checks.push(checkOf(...said));
  const checkpoint = await readCheckpoint(crypto, receipt, verifierKey, add);
  const intent = await readRecord(crypto.sha256, 'intent', receipt.intent, checkpoint, add);
  const outcome =
    receipt.outcome === null ? null : await readRecord(crypto.sha256, 'outcome', receipt.outcome, checkpoint, add);
  if (receipt.outcome !== null) {
    const fault = pairFault(intent, outcome);
    add('pair', fault === null, fault ?? 'the outcome belongs to the intent');
  }
  if (texts.promise !== undefined) {
    const fault = await promiseFault(crypto, receipt, verifierKey, texts.promise);
    add('promise', fault === null, fault ?? 'the log kept what was promised with the answer');
  }
  for (const name of ['prompt', 'answer'] as const) {
    const text = name === 'prompt' ? promptGiven(texts, outcome) : answerGiven(texts);
    if (text === undefined) continue;
    const fault =
      (name === 'answer' ? formFault(texts.answer, outcome) : null) ??
      (await commitmentFault(crypto.sha256, receipt.opening, outcome?.event[`${name}_commitment`], text));
    add(name, fault === null, fault ?? HOLDS[name]);
  }
  return checks;
}

type Add = (...said: Parameters<typeof checkOf>) => void;

async function readCheckpoint(
  crypto: NoteCrypto,
  receipt: Receipt,
  verifierKey: string,
  add: Add,
): Promise<Checkpoint | null> {
  let name: CheckName = 'key';
  try {
    const key = await parseVerifierKey(crypto.sha256, verifierKey);
    name = 'checkpoint';
    const ring = await KeyRing.open(crypto, key, receipt.rotations ?? []);
    const checkpoint = await ring.openCheckpoint(receipt.checkpoint);
    if (receipt.origin !== checkpoint.origin) throw new NoteFault('the checkpoint is of another log');
    add(name, true, '{0} at size {1}, signed by the key given', checkpoint.origin, checkpoint.size);
    return checkpoint;
  } catch (error) {
    if (!(error instanceof NoteFault)) throw error;
    add(name, false, error.message);
    return null;
  }
}

async function readRecord(
  sha256: Sha256,
  which: 'intent' | 'outcome',
  { seq, record, proof }: ReceiptRecord,
  checkpoint: Checkpoint | null,
  add: Add,
): Promise<LogRecord | null> {
  const parsed = parseRecord(record);
  if (typeof parsed === 'string') add(`${which}_record`, false, parsed);
  else if (parsed.seq !== seq)
    add(`${which}_record`, false, 'the record says seq {0}, the receipt {1}', parsed.seq, seq);
  else if (parsed.kind !== which) add(`${which}_record`, false, 'the record is of another kind: {0}', parsed.kind);
  else add(`${which}_record`, true, 'seq {0}', seq);
  const path = proof.map(fromBase64);
  const included =
    checkpoint !== null &&
    path.every((hash) => hash !== null) &&
    (await verifyInclusion(sha256, await leafHash(sha256, utf8(record)), seq, checkpoint.size, path, checkpoint.root));
  const why = checkpoint === null ? 'there is no checkpoint to check against' : 'the proof does not lead to the root';
  if (included) add(`${which}_inclusion`, true, 'seq {0} is in the log', seq);
  else add(`${which}_inclusion`, false, why);
  return typeof parsed === 'string' ? null : parsed;
}

/** Null where both are of one request. An outcome repeats who, what and which request, and follows its intent. */
function pairFault(intent: LogRecord | null, outcome: LogRecord | null): string | null {
  if (intent === null || outcome === null) return 'a record is missing';
  if (intent.request_id === null || intent.request_id !== outcome.request_id) return 'the records are of two requests';
  if (outcome.seq <= intent.seq) return 'the outcome stands before the intent';
  const same = (['actor', 'action', 'resource'] as const).every((name) => intent[name] === outcome[name]);
  return same ? null : 'the outcome is of another actor, action or resource';
}

/** Null where the record that was promised, before any checkpoint covered it, is the one in the log. */
async function promiseFault(
  crypto: NoteCrypto,
  { intent, outcome, rotations = [] }: Receipt,
  verifierKey: string,
  line: string,
): Promise<string | null> {
  try {
    const ring = await KeyRing.open(crypto, await parseVerifierKey(crypto.sha256, verifierKey), rotations);
    const { seq, leaf } = await ring.openPromise(line);
    const promised = [intent, outcome].find((one) => one?.seq === seq);
    if (!promised) return 'the promise is of another record than the two of this receipt';
    const kept = equalBytes(await leafHash(crypto.sha256, utf8(promised.record)), leaf);
    return kept ? null : 'the record is not the one that was promised';
  } catch (error) {
    if (!(error instanceof NoteFault)) throw error;
    return error.message;
  }
}

async function commitmentFault(
  sha256: Sha256,
  opening: string | null,
  commitment: unknown,
  text: string,
): Promise<string | null> {
  const key = opening === null ? null : fromHex(opening);
  if (typeof commitment !== 'string') return 'the outcome holds no such commitment';
  if (key?.length !== HASH_BYTES) return 'the receipt holds no key of the commitments';
  return toHex(await hmac(sha256, key, utf8(text))) === commitment ? null : 'the text is not the one on record';
}

const HOLDS = {
  prompt: 'the outcome commits to this prompt',
  answer: 'the outcome commits to this answer',
} as const;

const promptGiven = ({ prompt }: ReceiptTexts, outcome: LogRecord | null): string | undefined =>
  prompt === undefined ? undefined : committedPrompt(prompt, outcome?.event['route']);

const answerGiven = ({ answer }: ReceiptTexts): string | undefined =>
  answer === undefined ? undefined : committedAnswer(answer);

/** A text could spell what stands for calls or vectors: what the record counts tells them apart. */
function formFault(answer: ReceiptTexts['answer'], outcome: LogRecord | null): string | null {
  const { choices, tool_calls: calls, reasoning_bytes: thought, vectors } = outcome?.event ?? {};
  const isOne = choices === undefined && thought === undefined && (calls === undefined || calls === 0);
  const recorded = vectors !== undefined ? 'vectors' : isOne ? 'text' : 'structured';
  return formOf(answer ?? '') === recorded ? null : 'the answer on record is of another form';
}

/** HMAC-SHA-256 (RFC 2104) with a key of at most one block. */
async function hmac(sha256: Sha256, key: Uint8Array, message: Uint8Array): Promise<Uint8Array> {
  const keyed = (pad: number, rest: Uint8Array) => {
    const bytes = new Uint8Array(64 + rest.length).fill(pad, 0, 64);
    for (const [at, byte] of key.entries()) bytes[at] = byte ^ pad;
    bytes.set(rest, 64);
    return sha256(bytes);
  };
  return keyed(0x5c, await keyed(0x36, message));
}

function isReceipt(value: unknown): value is Receipt {
  if (!isObject(value) || value['v'] !== 1) return false;
  const { origin, checkpoint, intent, outcome, opening, rotations } = value;
  const isNotes =
    rotations === undefined || (Array.isArray(rotations) && rotations.every((one) => typeof one === 'string'));
  return (
    isNotes &&
    typeof origin === 'string' &&
    typeof checkpoint === 'string' &&
    isReceiptRecord(intent) &&
    (outcome === null || isReceiptRecord(outcome)) &&
    (opening === null || typeof opening === 'string')
  );
}

function isReceiptRecord(value: unknown): value is ReceiptRecord {
  if (!isObject(value)) return false;
  const { seq, record, proof } = value;
  return (
    Number.isSafeInteger(seq) &&
    typeof record === 'string' &&
    Array.isArray(proof) &&
    proof.length <= 64 &&
    proof.every((hash) => typeof hash === 'string' && hash.length <= 64)
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
