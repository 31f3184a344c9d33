import { useState } from 'preact/hooks';
import type { EventDetail, EventPage } from '#audit/audit.contract.ts';
import { type Api, useApi } from '#portal/api.ts';
import { type Facts, type StoryFact, type StoryStep, storyOf } from '#portal/decision-story.ts';
import { useProofText } from '#portal/i18n/proof.ts';
import { useTask } from '#portal/task.ts';
import { RefusalNotice } from './notice.tsx';

/** How one request was decided, from its own records, in words. Read when it is asked for: each read is on record. */
export function DecisionPath({ event }: { readonly event: EventDetail }) {
  const text = useProofText();
  const api = useApi();
  const task = useTask();
  const [found, setFound] = useState<{ of: EventDetail; steps: readonly StoryStep[] } | null>(null);
  const { request_id: request } = event;
  if (request === null) return null;
  if (found?.of !== event)
    return (
      <section class="filter story">
        <button
          type="button"
          class="button"
          disabled={task.busy}
          onClick={() => task.run(async () => setFound({ of: event, steps: await read(api, event, request) }))}
        >
          {text.storyShow}
        </button>
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      </section>
    );
  return (
    <section class="filter story">
      <h3>{text.storyTitle}</h3>
      {found.steps.length === 0 && <p class="quiet">{text.storyNone}</p>}
      <ol>
        {found.steps.map((step) => (
          <li key={step.kind} data-step={step.kind}>
            <StepView step={step} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function StepView({ step }: { readonly step: StoryStep }) {
  const text = useProofText();
  const [one = '', two = '', three = ''] = step.words;
  const [title, words] = {
    asked: [text.storyAsked, text.storyAskedWords(one, two, three)],
    allowed: [text.storyAllowed, text.storyAllowedWords(one, two)],
    denied: [text.storyDenied, text.storyDeniedWords(one)],
    quota: [text.storyQuota, text.storyQuotaWords(one, two)],
    made: [text.storyMade, text.storyMadeWords(one)],
    counted: [text.storyCounted, text.storyCountedWords(one, two, three)],
    ended: [text.storyEnded, text.storyEndedWords(one)],
  }[step.kind];
  return (
    <>
      <h4>
        {title}{' '}
        <a class="link" href={`#/audit/${step.seq}`}>
          {text.storyRecord(step.seq)}
        </a>
      </h4>
      <p>{words}</p>
      <FactList facts={step.facts} />
    </>
  );
}

function FactList({ facts }: { readonly facts: readonly StoryFact[] }) {
  const text = useProofText();
  if (facts.length === 0) return null;
  return (
    <dl class="fields">
      {facts.map(({ name, value }) => (
        <div key={name}>
          <dt>{text.storyFacts[name]}</dt>
          <dd>{/^[0-9a-f]{32,}$/.test(value) ? <code>{value}</code> : value}</dd>
        </div>
      ))}
    </dl>
  );
}

async function read(api: Api, event: EventDetail, request: string): Promise<readonly StoryStep[]> {
  const page = await api.send<EventPage>('GET', `/audit/events?request_id=${request}&limit=20`);
  const others = page.data.filter(({ seq }) => seq !== event.seq);
  const whole = await Promise.all(others.map(({ seq }) => api.send<EventDetail>('GET', `/audit/events/${seq}`)));
  const records = [event, ...whole].sort((a, b) => Number(BigInt(a.seq) - BigInt(b.seq)));
  return storyOf(records.map((one) => ({ ...one, facts: factsOf(one.record) })));
}

function factsOf(record: string): Facts {
  try {
    return (JSON.parse(record) as { event: Facts }).event;
  } catch {
    return {};
  }
}
