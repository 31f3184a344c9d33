import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes, fromBase64, fromHex, utf8 } from '#kernel/bytes.ts';
import { type CanonicalValue, canonicalJson } from '#kernel/canonical-json.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.shared.ts';
import { type Finding, Findings } from './log-check.ts';
import type { Manifest } from './manifest.ts';
import { leafHash, verifyInclusion } from './merkle.shared.ts';
import { NoteFault, type VerifierKey } from './note.shared.ts';
import { nodeCrypto, sha256 } from './note-crypto.node.ts';
import { parseRecord } from './record.shared.ts';

/** The lines of `NAME.EXT`, or of its parts `NAME-000000.EXT` and so on. */
export async function* linesOf(folder: string, name: string, extension: string): AsyncGenerator<string> {
  const pattern = new RegExp(`^${name}(-\\d{6})?\\.${extension}$`);
  const parts = (await readdir(folder)).filter((file) => pattern.test(file)).sort();
  for (const part of parts) yield* linesIn(join(folder, part));
}

/** More than any record takes: a file without line ends is not read into memory. */
const LONGEST_LINE = 1024 * 1024;

/** Split at U+000A alone: JSON holds U+2028 and U+2029 as they are, which Node's own readline splits at. */
async function* linesIn(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 256 * 1024 })) {
    const lines = (rest + (chunk as string)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > LONGEST_LINE) throw new Error(`${file}: this is no file of records`);
  }
  if (rest !== '') yield rest;
}

export interface SelectionResult {
  readonly ok: boolean;
  readonly records: number;
  readonly first: Finding | null;
  readonly findings: readonly Finding[];
}

/**
 * Checks records that were selected by a filter: each is in the log that the key signed, each is what the filter names.
 * That nothing else matched, nobody can show from the records; the gateway's signature under the manifest claims it.
 */
export async function verifySelection(
  folder: string,
  manifest: Manifest,
  key: VerifierKey,
  progress: (done: number, total: number) => void = () => {},
): Promise<SelectionResult> {
  const findings = new Findings();
  const checkpoint = await signedBy(key, manifest, findings);
  const proofs = linesOf(folder, 'proofs', 'jsonl');
  let [records, last] = [0, manifest.from - 1];
  for await (const line of linesOf(folder, 'records', 'jsonl')) {
    const proof = proofOf(((await proofs.next()).value as string | undefined) ?? '');
    const fault = await recordFault(line, proof, manifest, checkpoint);
    const seq = proof?.seq ?? last + 1;
    if (fault !== null) findings.add('record', seq, fault);
    else if (seq <= last || seq >= manifest.to) findings.add('missing', seq, 'the record is out of order or of range');
    last = seq;
    progress(++records, manifest.records);
  }
  if (records !== manifest.records) {
    findings.add('missing', last + 1, `the manifest speaks of ${manifest.records} records, ${records} are here`);
  }
  return { ok: findings.count === 0, records, first: findings.first, findings: findings.kept };
}

async function signedBy(key: VerifierKey, { checkpoint, from }: Manifest, findings: Findings) {
  try {
    if (checkpoint === null) throw new NoteFault('there is no checkpoint');
    return await openCheckpoint(nodeCrypto, checkpoint, key);
  } catch (error) {
    if (!(error instanceof NoteFault)) throw error;
    findings.add('checkpoint', from, error.message);
    return null;
  }
}

interface Proof {
  readonly seq: number;
  readonly path: readonly Uint8Array[];
}

function proofOf(line: string): Proof | null {
  try {
    const { seq, proof } = JSON.parse(line) as { seq: number; proof: string[] };
    const path = proof.map(fromBase64).filter((hash) => hash !== null);
    return Number.isSafeInteger(seq) && path.length === proof.length ? { seq, path } : null;
  } catch {
    return null;
  }
}

const FILTERS = ['action', 'resource', 'outcome', 'request_id'] as const;

async function recordFault(
  line: string,
  proof: Proof | null,
  { filter = {} }: Manifest,
  checkpoint: Checkpoint | null,
): Promise<string | null> {
  if (proof === null) return 'there is no proof for this record';
  let text: string;
  let stated: Uint8Array | null;
  try {
    const { record, leaf } = JSON.parse(line) as { record: CanonicalValue; leaf: string };
    [text, stated] = [canonicalJson(record), fromHex(leaf)];
  } catch {
    return 'the line holds no record';
  }
  const record = parseRecord(text);
  if (typeof record === 'string') return record;
  if (record.seq !== proof.seq) return `the record says seq ${record.seq}, its proof ${proof.seq}`;
  const other = FILTERS.find((name) => filter[name] !== undefined && filter[name] !== record[name]);
  if (other !== undefined) return `the record has another ${other} than was asked for`;
  const leaf = await leafHash(sha256, utf8(text));
  if (stated === null || !equalBytes(leaf, stated)) return 'the record does not have its leaf hash';
  if (checkpoint === null) return 'there is no checkpoint to check against';
  const { size, root } = checkpoint;
  const included = await verifyInclusion(sha256, leaf, record.seq, size, proof.path, root);
  return included ? null : 'the record is not in the tree that was signed';
}
