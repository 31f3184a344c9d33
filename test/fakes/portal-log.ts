import { createHash } from 'node:crypto';
import type { EventDetail, EventPage, EventSummary } from '#audit/audit.contract.ts';
import { type CanonicalValue, canonicalJson } from '#kernel/canonical-json.ts';

/** A log of made-up records whose leaves are right, but for `ALTERED`, whose text was changed after it was hashed. */
export const ALTERED = '97';
const SIZE = 130;
const PAGE = 50;

const PEOPLE = [
  ['usr_1f0c6f0b9a3d4f06a5ce10c3a6f5a001', 'mei.chen'],
  ['usr_2a7d9be84c1147e2b7f3d1f0a5c4b002', 'j.okafor'],
  ['usr_3b9e1cd75f2248f3a8e4c2e1b6d5c003', null],
] as const;

const KINDS = [
  ['inference.intent', 'chat.create', 'model:demo', 'admitted'],
  ['inference.outcome', 'chat.create', 'model:demo', 'completed'],
  ['auth', 'auth.login', 'user:self', 'succeeded'],
  ['auth', 'auth.login', 'user:self', 'failed'],
  ['denial', 'chat.create', 'model:qwen3-32b', 'denied'],
  ['admin', 'models.load', 'model:demo', 'admitted'],
  ['read', 'audit.read', 'log', 'admitted'],
] as const;

export class PortalLog {
  readonly #records: EventDetail[] = [];

  constructor(now: number) {
    for (let seq = 1; seq <= SIZE; seq++) this.#records.push(makeRecord(seq, now - (SIZE - seq) * 4_000_000));
  }

  page(query: URLSearchParams): EventPage {
    const limit = Number(query.get('limit') ?? PAGE);
    const before = Number(query.get('cursor') ?? SIZE + 1);
    const matches = (event: EventDetail): boolean =>
      Number(event.seq) < before &&
      (query.get('from') ?? '') <= event.at &&
      event.at <= (query.get('to') ?? '9') &&
      (['actor', 'action', 'resource', 'outcome', 'request_id'] as const).every(
        (name) => !query.has(name) || query.get(name) === event[name],
      );
    const found = this.#records.filter(matches).reverse();
    const shown = found.slice(0, limit);
    return {
      data: shown.map(({ record: _record, leaf: _leaf, ...summary }): EventSummary => summary),
      next_cursor: found.length > limit ? (shown.at(-1)?.seq ?? null) : null,
    };
  }

  get(seq: string): EventDetail | undefined {
    return this.#records[Number(seq) - 1];
  }
}

function makeRecord(seq: number, time: number): EventDetail {
  const [kind, action, resource, outcome] = KINDS[(seq * 5) % KINDS.length] ?? KINDS[0];
  const [actor, actorName] = PEOPLE[((seq * 3) % 7) % PEOPLE.length] ?? PEOPLE[0];
  const requestId = `req_${createHash('sha256')
    .update(`request ${Math.floor(seq / 2)}`)
    .digest('hex')
    .slice(0, 32)}`;
  const at = new Date(time).toISOString().replace('Z', '481Z');
  const event: CanonicalValue = {
    action,
    actor,
    client: { address: '10.20.4.17', peer: '10.20.0.2' },
    decision: {
      policy_version: 42,
      rule: 'analyst-chat',
      obligations: [],
      conditions: { clearance: 2, department: 'risk' },
    },
    event_id: `7c1f${seq.toString(16).padStart(8, '0')}`,
    kind,
    outcome,
    quota: { requests: 1, tokens: 1536 },
    request_id: requestId,
    resource,
    weights_sha256: createHash('sha256').update('weights').digest('hex'),
  };
  const record = `{"at":"${at}","event":${canonicalJson(event)},"seq":${seq},"v":1}`;
  return {
    seq: String(seq),
    at,
    kind,
    actor,
    actor_name: actorName,
    action,
    resource,
    outcome,
    request_id: kind === 'auth' ? null : requestId,
    record: String(seq) === ALTERED ? record.replace('10.20.4.17', '10.20.4.18') : record,
    leaf: createHash('sha256').update('\0').update(record).digest('hex'),
  };
}
