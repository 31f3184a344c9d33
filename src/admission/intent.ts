import { decisionFacts } from '#access/decision-facts.ts';
import type { AuditEvent } from '#audit/event.ts';
import type { AdmissionRequest } from '#kernel/gate.ts';

/** What an admission records: who asks for what, by which rule, within which bounds, at what price. */
export function intentOf({
  requestId,
  routeId,
  principal,
  action,
  resource,
  decision,
  address,
  grant,
  reserve,
}: AdmissionRequest): AuditEvent {
  return {
    kind: 'intent',
    actor: principal.subject,
    action,
    resource: `${resource.type}:${resource.id}`,
    outcome: 'admitted',
    request: requestId,
    facts: {
      route: routeId,
      address,
      credential: `${principal.credential.kind}:${principal.credential.ref.slice(0, 16)}`,
      ...decisionFacts(principal, decision),
      ...(grant === null || grant.changes.length === 0 ? {} : { bounds: grant.changes }),
      ...(reserve === null ? {} : { quota: { requests: 1, tokens: reserve.tokens, tokens_least: reserve.least } }),
    },
  };
}
