import { useEffect, useMemo, useState } from 'preact/hooks';
import type { EventDetail } from '#audit/audit.contract.ts';
import type { EventFilter } from '#portal/event-filter.ts';
import { stamp, zoneName } from '#portal/format.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { CopyButton } from '#portal/parts/copy-button.tsx';
import { DecisionPath } from '#portal/parts/decision-path.tsx';
import { InclusionCheck } from '#portal/parts/inclusion-check.tsx';
import { Icon } from '#portal/parts/mark.tsx';
import { Modal } from '#portal/parts/modal.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { Seal } from '#portal/parts/seal.tsx';
import { type Digester, leafHash, prettyPieces } from '#portal/record.ts';
import { goTo } from '#portal/route.ts';
import { useResource } from '#portal/task.ts';

interface Props {
  readonly seq: string;
  readonly onClose: () => void;
  readonly onFilter: (part: Partial<EventFilter>) => void;
}

/** One record of the log, read by its number, and checked here against the leaf that the log holds for it. */
export function RecordSheet({ seq, onClose, onFilter }: Props) {
  const text = useOfficeText();
  const { data, refusal, refresh } = useResource<EventDetail>(`/audit/events/${seq}`);
  const beside = (step: bigint): string => `audit/${BigInt(seq) + step}`;
  const walk = (
    <>
      <button
        type="button"
        class="button button-icon"
        aria-label={text.olderRecord}
        title={text.olderRecord}
        disabled={seq === '1'}
        onClick={() => goTo(beside(-1n))}
      >
        <Icon name="previous" />
      </button>
      <button
        type="button"
        class="button button-icon"
        aria-label={text.newerRecord}
        title={text.newerRecord}
        onClick={() => goTo(beside(1n))}
      >
        <Icon name="next" />
      </button>
    </>
  );
  return (
    <Modal kind="sheet" title={text.record(seq)} actions={walk} onClose={onClose}>
      {refusal !== null && <RefusalNotice refusal={refusal} onRetry={refresh} />}
      {data === null && refusal === null && <p class="empty">{text.loading}</p>}
      {data !== null && data.seq === seq && (
        <div class="record">
          <LeafCheck event={data} />
          <InclusionCheck event={data} />
          <Fields event={data} onFilter={onFilter} />
          <DecisionPath event={data} />
          <RecordText record={data.record} />
        </div>
      )}
    </Modal>
  );
}

type Own = { readonly of: EventDetail; readonly hash: string | null };

function LeafCheck({ event }: { readonly event: EventDetail }) {
  const text = useOfficeText();
  const [own, setOwn] = useState<Own | null>(null);
  useEffect(() => {
    let wanted = true;
    const subtle = globalThis.crypto?.subtle as Digester | undefined;
    const computing = subtle === undefined ? Promise.resolve(null) : leafHash(event.record, subtle);
    computing
      .catch(() => null)
      .then((hash) => {
        if (wanted) setOwn({ of: event, hash });
      })
      .catch(() => {});
    return () => {
      wanted = false;
    };
  }, [event]);

  const hash = own?.of === event ? own.hash : undefined;
  const verdict = hash === undefined ? 'running' : hash === null ? 'absent' : hash === event.leaf ? 'equal' : 'differs';
  const words = {
    running: [text.checkRunning, ''],
    absent: [text.checkAbsent, text.checkAbsentWhy],
    equal: [text.checkEqual, text.checkEqualWhy],
    differs: [text.checkDiffers, text.checkDiffersWhy],
  }[verdict];
  return (
    <section class={`check check-${verdict}`} data-verdict={verdict}>
      <Seal hash={hash ?? '00'} />
      <div class="check-words" role={verdict === 'differs' ? 'alert' : 'status'}>
        <h3>
          <Icon name={verdict === 'equal' ? 'check' : verdict === 'running' ? 'next' : 'alert'} />
          {words[0]}
        </h3>
        <p>{words[1]}</p>
        {verdict === 'equal' && <p class="quiet">{text.checkScope}</p>}
      </div>
      <dl class="check-hashes">
        <div>
          <dt>{text.leafServer}</dt>
          <dd>
            <code>{event.leaf}</code>
          </dd>
        </div>
        <div>
          <dt>{text.leafOwn}</dt>
          <dd>
            <code>{hash ?? '–'}</code>
          </dd>
        </div>
      </dl>
    </section>
  );
}

function Fields({ event, onFilter }: { readonly event: EventDetail; readonly onFilter: Props['onFilter'] }) {
  const text = useOfficeText();
  const names = [
    ['actor', text.actor],
    ['action', text.action],
    ['resource', text.resource],
    ['outcome', text.outcome],
    ['request_id', text.requestId],
  ] as const;
  return (
    <dl class="fields" aria-label={text.fields}>
      <div>
        <dt>{text.time}</dt>
        <dd>
          <span class="number">{stamp(event.at)}</span> <span class="quiet">{zoneName(event.at)}</span>
          <code class="field-second">{event.at}</code>
        </dd>
      </div>
      <div>
        <dt>{text.kind}</dt>
        <dd>{event.kind}</dd>
      </div>
      {names.map(([name, label]) => {
        const value = event[name];
        return (
          <div key={name}>
            <dt>{label}</dt>
            <dd>
              {value === null ? (
                <span class="quiet">{text.none}</span>
              ) : (
                <button
                  type="button"
                  class="link"
                  title={text.sameFilter(value)}
                  onClick={() => onFilter({ [name]: value })}
                >
                  {name === 'actor' && event.actor_name !== null ? event.actor_name : value}
                </button>
              )}
              {name === 'actor' && event.actor_name !== null && <code class="field-second">{event.actor}</code>}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

function RecordText({ record }: { readonly record: string }) {
  const text = useOfficeText();
  const [raw, setRaw] = useState(false);
  const pieces = useMemo(() => prettyPieces(record), [record]);
  const size = useMemo(() => new TextEncoder().encode(record).length, [record]);
  return (
    <section class="record-text">
      <div class="record-head">
        <h3>{text.recordBytes}</h3>
        <span class="quiet number">{text.bytes(size)}</span>
        <fieldset class="switch">
          <legend class="unseen">{text.recordBytes}</legend>
          <button type="button" aria-pressed={!raw} onClick={() => setRaw(false)}>
            {text.pretty}
          </button>
          <button type="button" aria-pressed={raw} onClick={() => setRaw(true)}>
            {text.raw}
          </button>
        </fieldset>
        <CopyButton value={record} label={text.raw} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by the keyboard */}
      <pre class={raw ? 'code code-raw' : 'code'} tabIndex={0}>
        {raw
          ? record
          : pieces.map((piece, index) => (
              <span key={index} class={`json-${piece.kind}`}>
                {piece.text}
              </span>
            ))}
      </pre>
    </section>
  );
}
