import { decisionFacts } from '#access/decision-facts.ts';
import type { AuditEvent } from '#audit/event.ts';
import type { AdmissionRequest } from '#kernel/gate.ts';
import { sourceFacts } from '#kernel/origin.ts';

/** What intent and outcome of a request have in common. */
export const askedBy = ({ requestId, principal, action, resource }: AdmissionRequest) => ({
  actor: principal.subject,
  action,
  resource: `${resource.type}:${resource.id}`,
  request: requestId,
});

/** What an admission records: who asks for what, by which rule, within which bounds, at what price. */
export function intentOf(asked: AdmissionRequest): AuditEvent {
  const { routeId, principal, decision, grant, reserve } = asked;
  return {
    ...askedBy(asked),
    kind: 'intent',
    outcome: 'admitted',
    facts: {
      route: routeId,
      ...sourceFacts(asked),
      credential: `${principal.credential.kind}:${principal.credential.ref.slice(0, 16)}`,
      ...decisionFacts(principal, decision),
      ...(grant === null || grant.changes.length === 0 ? {} : { bounds: grant.changes }),
      ...(reserve === null ? {} : { quota: { requests: 1, tokens: reserve.tokens, tokens_least: reserve.least } }),
    },
  };
}
