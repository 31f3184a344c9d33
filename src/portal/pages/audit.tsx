import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { EventPage, EventSummary } from '#audit/audit.contract.ts';
import { aborted, useApi } from '#portal/api.ts';
import { type EventFilter, filterPath, NO_FILTER } from '#portal/event-filter.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { EventFilterForm } from '#portal/parts/event-filter-form.tsx';
import { EventTable } from '#portal/parts/event-table.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { Refusal } from '#portal/refusal.ts';
import { goTo } from '#portal/route.ts';
import { RecordSheet } from './record.tsx';

interface Found {
  readonly events: readonly EventSummary[];
  /** Undefined while the first page is on its way, null on the last. */
  readonly cursor: string | null | undefined;
  readonly refusal: Refusal | null;
  readonly loading: boolean;
}

const NOTHING: Found = { events: [], cursor: undefined, refusal: null, loading: true };

export function AuditPage({ open }: { readonly open: string }) {
  const text = useOfficeText();
  const [filter, setFilter] = useState<EventFilter>(NO_FILTER);
  const { found, more } = useEvents(filter);
  const { events, cursor, refusal, loading } = found;
  const known = useMemo(
    () => ({
      actor: [...new Set(events.map((event) => event.actor))],
      action: [...new Set(events.map((event) => event.action))],
      resource: [...new Set(events.map((event) => event.resource))],
      outcome: [...new Set(events.map((event) => event.outcome))],
      request_id: [],
    }),
    [events],
  );

  return (
    <div class="page page-wide">
      <header class="page-head">
        <h1>{text.auditTitle}</h1>
        <p class="quiet">{text.auditLead}</p>
      </header>
      <EventFilterForm filter={filter} known={known} onFilter={setFilter} />
      <section class="card events" aria-busy={loading} aria-label={text.auditTitle}>
        {events.length > 0 && <EventTable events={events} open={open} />}
        {refusal !== null && <RefusalNotice refusal={refusal} onRetry={more} />}
        {events.length === 0 && refusal === null && <p class="empty">{loading ? text.loading : text.eventsEmpty}</p>}
        {events.length > 0 && (
          <footer class="events-end">
            <span class="quiet" role="status">
              {text.eventsShown(events.length)}
            </span>
            {cursor === null ? (
              <span class="quiet">{text.noOlder}</span>
            ) : (
              <button type="button" class="button" disabled={loading} onClick={more}>
                {loading ? text.loading : text.older}
              </button>
            )}
          </footer>
        )}
      </section>
      {/^[1-9]\d{0,17}$/.test(open) && (
        <RecordSheet
          seq={open}
          onClose={() => goTo('audit')}
          onFilter={(part) => {
            setFilter({ ...NO_FILTER, ...part });
            goTo('audit');
          }}
        />
      )}
    </div>
  );
}

/** The pages found so far. A new filter begins again; what an older search still answers is dropped. */
function useEvents(filter: EventFilter): { readonly found: Found; readonly more: () => void } {
  const api = useApi();
  const [found, setFound] = useState<Found>(NOTHING);
  const searching = useRef<AbortController | null>(null);
  const cursor = useRef<string | null>(null);
  const now = useRef(Date.now());

  const more = useCallback(() => {
    searching.current?.abort();
    const search = new AbortController();
    searching.current = search;
    setFound((before) => ({ ...before, loading: true, refusal: null }));
    api.send<EventPage>('GET', filterPath(filter, now.current, cursor.current), { signal: search.signal }).then(
      (page) => {
        cursor.current = page.next_cursor;
        setFound((before) => ({
          events: [...before.events, ...page.data],
          cursor: page.next_cursor,
          refusal: null,
          loading: false,
        }));
      },
      (error: unknown) => {
        if (!aborted(error)) setFound((before) => ({ ...before, refusal: Refusal.from(error), loading: false }));
      },
    );
  }, [api, filter]);

  useEffect(() => {
    cursor.current = null;
    now.current = Date.now();
    setFound(NOTHING);
    more();
    return () => searching.current?.abort();
  }, [more]);

  return { found, more };
}
