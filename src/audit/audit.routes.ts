import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import { Problem } from '#kernel/problem.ts';
import { Archive, type ArchiveDeps } from './archive.ts';
import { EventDetail, EventPage, EventPath, EventQuery, type EventSummary, ExportQuery } from './audit.contract.ts';
import { type AuditReader, filtersOnRecord, type StoredEvent } from './audit.ts';

const access = { action: 'audit.read', denial: 'forbidden' } as const;
const common = { method: 'GET', credentials: 'session', stepUp: NO_STEP_UP, counts: 'none', records: 'full' } as const;

/** An auditor's reads. Each is itself on the record, with its filters and how much it found. */
export function auditRoutes({
  reader,
  ...archive
}: Omit<ArchiveDeps, 'reader'> & { readonly reader: AuditReader }): Route[] {
  return [
    route<undefined, EventQuery>({
      ...common,
      id: 'audit.events',
      path: '/audit/events',
      summary: 'Search the last seven days, newest first',
      access: { ...access, resource: () => ({ type: 'audit', id: 'events' }) },
      query: EventQuery,
      response: EventPage,
      handle: async ({ query, report }) => {
        let found = 0;
        const filters = filtersOnRecord(query);
        report(() => ({ ran: true, tokens: null, facts: { filters, found }, opening: null }));
        const events = await reader.page(query);
        found = events.length;
        const last = events.at(-1);
        const answer: EventPage = {
          data: events.map(summaryOf),
          next_cursor: last !== undefined && events.length === query.limit ? last.seq : null,
        };
        return { kind: 'json', body: answer };
      },
    }),
    route<{ seq: string }>({
      ...common,
      id: 'audit.event',
      path: '/audit/events/:seq',
      summary: 'One record with the exact bytes that were hashed',
      access: { ...access, resource: () => ({ type: 'audit', id: 'events' }) },
      params: EventPath,
      response: EventDetail,
      handle: async ({ params, report }) => {
        report(() => ({ ran: true, tokens: null, facts: { seq: params.seq }, opening: null }));
        const record = await reader.find(params.seq);
        if (record === null) throw new Problem('not_found');
        const answer: EventDetail = { ...summaryOf(record), record: record.record, leaf: record.leaf };
        return { kind: 'json', body: answer };
      },
    }),
    route<undefined, ExportQuery>({
      ...common,
      id: 'audit.export',
      path: '/audit/export',
      summary: 'Take records of the last seven days away with their proofs, as a tar for `audit verify --export`',
      access: { action: 'audit.export', denial: 'forbidden', resource: () => ({ type: 'audit', id: 'export' }) },
      query: ExportQuery,
      handle: async ({ query: { format, ...filter }, report, requestId }) => {
        const made = new Archive({ reader, ...archive }, { format, filter });
        report(() => ({ ran: true, tokens: null, facts: made.facts(), opening: null }));
        return {
          kind: 'download',
          type: 'application/x-tar',
          name: `strongroom-audit-${requestId}.tar`,
          chunks: made.chunks(),
          ending: made.ending,
        };
      },
    }),
  ];
}

const summaryOf = (event: StoredEvent): EventSummary => ({
  seq: event.seq,
  at: event.at,
  kind: event.kind,
  actor: event.actor,
  actor_name: event.actorName,
  action: event.action,
  resource: event.resource,
  outcome: event.outcome,
  request_id: event.requestId,
});
