import { useEffect, useState } from 'preact/hooks';
import type { AdminModel, AdminModelList } from '#models/models.contract.ts';
import { useApi } from '#portal/api.ts';
import { gibibytes, stamp } from '#portal/format.ts';
import { useTongue } from '#portal/i18n/language.tsx';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { useLive } from '#portal/live.ts';
import { AdapterFacts, Digest, DraftFacts, MemoryFact } from '#portal/parts/model-parts.tsx';
import { CatalogueNotice, OnReplicas } from '#portal/parts/model-replicas.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useStepUp } from '#portal/parts/step-up.tsx';
import { useTask } from '#portal/task.ts';

/** As long as a replica may take to see what an admin has just set. */
const SETTLE_MS = 10_000;
/** More places than this are a number only. */
const DRAWN_SLOTS = 16;

export function ModelsPage() {
  const text = useOfficeText();
  const models = useLive<AdminModelList>('/admin/models/events');
  const { data, refusal, at } = models;
  const { asked, ask } = useAsked();
  return (
    <div class="page">
      <header class="page-head page-head-row">
        <div>
          <h1>{text.modelsTitle}</h1>
          <p class="quiet">{text.modelsLead}</p>
        </div>
        {data !== null && (
          <dl class="facts">
            <div>
              <dt>{text.instance}</dt>
              <dd>
                <code>{data.instance}</code>
              </dd>
            </div>
            <div>
              <dt>{refusal === null ? text.updated : text.stale}</dt>
              <dd class="number">{at === null ? '–' : stamp(at).slice(11)}</dd>
            </div>
          </dl>
        )}
      </header>
      {refusal !== null && <RefusalNotice refusal={refusal} onRetry={models.refresh} />}
      {data !== null && <CatalogueNotice replicas={data.replicas} />}
      {data !== null && <MachineFacts machine={data} />}
      {data === null && refusal === null && <p class="empty">{text.loading}</p>}
      {data?.data.length === 0 && <p class="empty">{text.modelsEmpty}</p>}
      {data !== null && (
        <ul class={refusal === null ? 'models' : 'models models-stale'}>
          {data.data.map((model) => (
            <ModelCard
              key={model.id}
              model={model}
              replicas={data.replicas}
              state={shownState(model, asked)}
              onAsked={() => ask(model.id)}
            />
          ))}
        </ul>
      )}
    </div>
  );
}

/** What the models may take of this machine and what they do, and how their processes are walled in. */
function MachineFacts({ machine: { memory, gpus, sandbox } }: { readonly machine: AdminModelList }) {
  const text = useOfficeText();
  const { budget, used } = memory;
  return (
    <div class="machine">
      <label>
        <span class="quiet">{text.memoryUsed(gibibytes(used.ram), gibibytes(budget.ram))}</span>
        <progress max={budget.ram} value={Math.min(used.ram, budget.ram)} />
      </label>
      {gpus.map(({ index, name, used: taken, total }) =>
        taken === null ? (
          <p class="quiet" key={index}>{`${name}: ${gibibytes(total)}`}</p>
        ) : (
          <label key={index}>
            <span class="quiet">{`${name}: ${text.memoryUsed(gibibytes(taken), gibibytes(total))}`}</span>
            <progress max={total} value={taken} />
          </label>
        ),
      )}
      {sandbox !== null && <p class="quiet">{text.sandboxes[sandbox]}</p>}
    </div>
  );
}

type ShownState = AdminModel['state'] | 'unloading' | 'starting';
const CHANGING: readonly ShownState[] = ['loading', 'unloading', 'starting'];

/** What runs lags behind what an admin has set; between the two is a change that is under way. */
function shownState(model: AdminModel, asked: string | null): ShownState {
  if (!model.in_service && (model.state === 'ready' || model.state === 'loading')) return 'unloading';
  if (model.in_service && model.state === 'unloaded' && asked === model.id) return 'starting';
  return model.state;
}

/** The model that was changed last, until every replica must have seen it. */
function useAsked(): { readonly asked: string | null; readonly ask: (id: string) => void } {
  const [asked, ask] = useState<string | null>(null);
  useEffect(() => {
    if (asked === null) return;
    const timer = setTimeout(() => ask(null), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [asked]);
  return { asked, ask };
}

interface CardProps {
  readonly model: AdminModel;
  readonly replicas: AdminModelList['replicas'];
  readonly state: ShownState;
  readonly onAsked: () => void;
}

function ModelCard({ model, replicas, state, onAsked }: CardProps) {
  const text = useOfficeText();
  const { language } = useTongue();
  const count = (value: number): string => value.toLocaleString(language);
  return (
    <li class="card model">
      <div class="model-head">
        <h2>{model.id}</h2>
        <span class={`state state-${CHANGING.includes(state) ? 'loading' : state}`} role="status">
          {state === 'unloading' || state === 'starting' ? text.modelMoves[state] : text.modelStates[state]}
        </span>
        <small class="quiet">{text.engines[model.engine]}</small>
      </div>
      {model.progress !== null && (
        <label class="model-progress">
          <span class="quiet">{text.loadPhases[model.progress.phase]}</span>
          <progress max={1} value={model.progress.done} />
        </label>
      )}
      {model.quarantine !== null && <p class="model-quarantine">{text.quarantined(model.quarantine)}</p>}
      {model.replicas !== null && model.replicas.length > 0 && <Servers replicas={model.replicas} />}
      <dl class="model-facts">
        <div class="model-slots">
          <dt>{text.slots}</dt>
          <dd>
            <span class="number">{text.slotsBusy(model.busy, model.slots)}</span>
            <SlotRow slots={model.slots} busy={model.busy} />
          </dd>
        </div>
        <Fact name={text.queued} value={count(model.queued)} />
        <Fact name={text.context} value={model.context_size === null ? '–' : count(model.context_size)} />
        <Fact name={text.classification} value={String(model.classification)} />
        <Fact name={text.restarts} value={count(model.restarts)} />
        <Fact name={text.process} value={model.pid === null ? '–' : String(model.pid)} />
        <Digest name={text.digest} value={model.digest} />
      </dl>
      <dl class="model-parts">
        <MemoryFact memory={model.memory} />
        {model.adapter !== null && <AdapterFacts adapter={model.adapter} />}
        {model.draft !== null && <DraftFacts draft={model.draft} />}
      </dl>
      <OnReplicas model={model.id} replicas={replicas} />
      <ModelActions model={model} onAsked={onAsked} />
    </li>
  );
}

/** The servers behind a model that runs elsewhere. */
function Servers({ replicas }: { readonly replicas: NonNullable<AdminModel['replicas']> }) {
  const text = useOfficeText();
  return (
    <ul class="model-servers" aria-label={text.servers}>
      {replicas.map(({ name, state, resting, busy }) => (
        <li key={name}>
          <code>{name}</code>
          <span class={`state state-${resting ? 'loading' : CIRCUITS[state]}`}>
            {resting ? text.serverRests : text.serverStates[state]}
          </span>
          <small class="quiet">{text.serverBusy(busy)}</small>
        </li>
      ))}
    </ul>
  );
}

const CIRCUITS = { closed: 'ready', half_open: 'loading', open: 'failed' } as const;

/** What admins have set, and what would change it. Each change asks for a code of its own. */
function ModelActions({ model, onAsked }: Pick<CardProps, 'model' | 'onAsked'>) {
  const text = useOfficeText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const post = (verb: Verb): void =>
    task.run(async () => {
      const path = `/admin/models/${encodeURIComponent(model.id)}/${verb}`;
      await stepUp((proof) => api.send<AdminModel>('POST', path, proof));
      onAsked();
    });
  return (
    <div class="model-acts">
      <p class="quiet">
        {model.in_service ? text.inService : text.outOfService}
        {model.pinned && text.listGap + text.isPinned}
      </p>
      {verbsFor(model).map((verb) => (
        <button
          key={verb}
          type="button"
          class="button button-small"
          aria-label={`${text.modelVerbs[verb]}: ${model.id}`}
          disabled={task.busy}
          onClick={() => post(verb)}
        >
          {text.modelVerbs[verb]}
        </button>
      ))}
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
    </div>
  );
}

type Verb = 'load' | 'unload' | 'pin' | 'unpin';

/** One that failed is tried again only when an admin says so. */
function verbsFor({ in_service, pinned, state }: AdminModel): readonly Verb[] {
  const pin = pinned ? 'unpin' : 'pin';
  if (!in_service) return [pin, 'load'];
  return state === 'failed' ? [pin, 'unload', 'load'] : [pin, 'unload'];
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="number">{value}</dd>
    </div>
  );
}

function SlotRow({ slots, busy }: { readonly slots: number; readonly busy: number }) {
  if (slots > DRAWN_SLOTS) return null;
  const places = Array.from({ length: slots }, (_, place) => place);
  return (
    <svg class="slots" viewBox={`0 0 ${slots * 14} 10`} width={slots * 14} height="10" aria-hidden="true">
      {places.map((place) => (
        <rect
          key={place}
          class={place < busy ? 'slot-busy' : 'slot'}
          x={place * 14 + 0.5}
          y="0.5"
          width="9"
          height="9"
          rx="2"
        />
      ))}
    </svg>
  );
}
