import { useEffect, useState } from 'preact/hooks';
import type { Model, ModelList } from '#models/models.contract.ts';
import type { Conversation } from '#portal/conversation.ts';
import { useText } from '#portal/i18n/language.tsx';
import { Composer } from '#portal/parts/composer.tsx';
import { Icon } from '#portal/parts/mark.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { QuotaMeters } from '#portal/parts/quota.tsx';
import { Seal } from '#portal/parts/seal.tsx';
import { Thread } from '#portal/parts/thread.tsx';
import { type Resource, useResource } from '#portal/task.ts';
import type { UsageResponse } from '#quota/quota.contract.ts';

/** How often the models' states are read again. */
const MODELS_MS = 30_000;

interface Props {
  readonly conversation: Conversation;
  readonly quota: Resource<UsageResponse>;
}

export function AskPage({ conversation, quota }: Props) {
  const text = useText();
  const found = useResource<ModelList>('/v1/models', MODELS_MS);
  // One that turns texts into vectors does not answer.
  const talking = found.data?.data.filter(({ capabilities }) => capabilities.includes('chat'));
  const models = talking === undefined ? found : { ...found, data: { object: 'list' as const, data: talking } };
  const [chosen, setChosen] = useState<string | null>(conversation.turns.at(-1)?.model ?? null);
  const [draft, setDraft] = useState('');
  const list = models.data?.data ?? [];
  const model = list.find(({ id }) => id === chosen) ?? list.find(({ state }) => state === 'ready') ?? list[0];

  const ask = (question: string): void => {
    if (model !== undefined) conversation.ask(model.id, question);
  };

  return (
    <div class="ask">
      <aside class="rail">
        <ModelChoice models={models} model={model} onChoose={setChosen} />
        <QuotaMeters usage={quota} />
        <button
          type="button"
          class="button rail-new"
          disabled={conversation.turns.length === 0}
          onClick={conversation.clear}
        >
          <Icon name="plus" />
          <span>{text.newConversation}</span>
        </button>
      </aside>
      <section class="talk" aria-label={text.conversation}>
        {conversation.turns.length === 0 ? (
          <Welcome onExample={setDraft} />
        ) : (
          <Thread turns={conversation.turns} busy={conversation.busy} onAgain={conversation.again} />
        )}
        <Composer
          draft={draft}
          onDraft={setDraft}
          busy={conversation.busy}
          ready={model !== undefined}
          onSend={ask}
          onStop={conversation.stop}
        />
        <AnswerStatus conversation={conversation} />
      </section>
    </div>
  );
}

function Welcome({ onExample }: { readonly onExample: (example: string) => void }) {
  const text = useText();
  return (
    <div class="welcome">
      <Seal />
      <h1>{text.askTitle}</h1>
      <p class="quiet">{text.askLead}</p>
      <ul aria-label={text.examplesLabel}>
        {text.examples.map((example) => (
          <li key={example}>
            <button type="button" onClick={() => onExample(example)}>
              {example}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface ChoiceProps {
  readonly models: Resource<ModelList>;
  readonly model: Model | undefined;
  readonly onChoose: (id: string) => void;
}

function ModelChoice({ models, model, onChoose }: ChoiceProps) {
  const text = useText();
  const list = models.data?.data;
  if (models.refusal !== null && list === undefined)
    return <RefusalNotice refusal={models.refusal} onRetry={models.refresh} />;
  return (
    <div class="choice">
      <label class="label" for="model">
        {text.model}
      </label>
      <select
        id="model"
        disabled={list === undefined || list.length === 0}
        value={model?.id ?? ''}
        onChange={(event) => onChoose(event.currentTarget.value)}
      >
        {list === undefined && <option value="">{text.loading}</option>}
        {list?.map(({ id }) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
      </select>
      {list?.length === 0 && <p class="quiet">{text.noModels}</p>}
      {model !== undefined && (
        <p class="quiet choice-state">
          <span class={`state state-${model.state}`}>{text.modelStates[model.state]}</span>
          {model.context_length !== null && <span>{text.contextTokens(model.context_length)}</span>}
        </p>
      )}
    </div>
  );
}

/** The longest answer that is read out whole; of a longer one only that it is there. */
const SPOKEN = 600;

/** What a screen reader is told: once when an answer begins, once when it has ended. Never word by word. */
function AnswerStatus({ conversation }: { readonly conversation: Conversation }) {
  const text = useText();
  const [words, setWords] = useState('');
  const last = conversation.turns.at(-1);
  const { busy } = conversation;
  useEffect(() => {
    if (last === undefined) setWords('');
    else if (busy) setWords(text.answerStatus);
    else if (last.state === 'done') setWords(`${text.answerDone} ${last.answer.length <= SPOKEN ? last.answer : ''}`);
    else if (last.state === 'stopped') setWords(text.stopped);
  }, [busy, last?.id]);
  return (
    <p class="unseen" role="status">
      {words}
    </p>
  );
}
