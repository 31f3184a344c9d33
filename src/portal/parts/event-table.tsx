import type { EventSummary } from '#audit/audit.contract.ts';
import { shortId, stamp, zoneName } from '#portal/format.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { goTo } from '#portal/route.ts';

interface Props {
  readonly events: readonly EventSummary[];
  /** The number of the record that is open. */
  readonly open: string;
}

/** Words of an outcome that deserve a second look. The log's vocabulary may grow; what is not listed stays plain. */
const BAD = /denied|refused|failed|error|revoked|unknown|locked|invalid/i;

/** The link in the number is the way by keyboard; a click anywhere in the row is the same for the mouse. */
export function EventTable({ events, open }: Props) {
  const text = useOfficeText();
  const zone = zoneName(events[0]?.at ?? '');
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">{text.seq}</th>
          <th scope="col">
            {text.time} <small>{zone}</small>
          </th>
          <th scope="col">{text.actor}</th>
          <th scope="col">{text.action}</th>
          <th scope="col">{text.resource}</th>
          <th scope="col">{text.outcome}</th>
          <th scope="col">{text.kind}</th>
        </tr>
      </thead>
      <tbody>
        {events.map((event) => (
          <tr key={event.seq} class={event.seq === open ? 'row-open' : ''} onClick={() => goTo(`audit/${event.seq}`)}>
            <td data-label={text.seq}>
              <a class="number" href={`#/audit/${event.seq}`} aria-label={text.openRecord(event.seq)}>
                {event.seq}
              </a>
            </td>
            <td data-label={text.time} class="number">
              {stamp(event.at)}
            </td>
            <td data-label={text.actor} title={event.actor}>
              {event.actor_name ?? <code>{shortId(event.actor)}</code>}
            </td>
            <td data-label={text.action}>{event.action}</td>
            <td data-label={text.resource}>{event.resource}</td>
            <td data-label={text.outcome}>
              <span class={BAD.test(event.outcome) ? 'tag tag-bad' : 'tag'}>{event.outcome}</span>
            </td>
            <td data-label={text.kind} class="quiet">
              {event.kind}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
