import type { AdminModel, AdminModelList } from '#models/models.contract.ts';
import { shortDigest, stamp } from '#portal/format.ts';
import { useTongue } from '#portal/i18n/language.tsx';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { CopyButton } from '#portal/parts/copy-button.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useResource } from '#portal/task.ts';

const REFRESH_MS = 5000;
/** More places than this are a number only. */
const DRAWN_SLOTS = 16;

export function ModelsPage() {
  const text = useOfficeText();
  const models = useResource<AdminModelList>('/admin/models', REFRESH_MS);
  const { data, refusal, at } = models;
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
      {data === null && refusal === null && <p class="empty">{text.loading}</p>}
      {data?.data.length === 0 && <p class="empty">{text.modelsEmpty}</p>}
      {data !== null && (
        <ul class={refusal === null ? 'models' : 'models models-stale'}>
          {data.data.map((model) => (
            <ModelCard key={model.id} model={model} />
          ))}
        </ul>
      )}
    </div>
  );
}

function ModelCard({ model }: { readonly model: AdminModel }) {
  const text = useOfficeText();
  const { language } = useTongue();
  const count = (value: number): string => value.toLocaleString(language);
  return (
    <li class="card model">
      <div class="model-head">
        <h2>{model.id}</h2>
        <span class={`state state-${model.state}`}>{text.modelStates[model.state]}</span>
        <small class="quiet">{text.engines[model.engine]}</small>
      </div>
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
        <div class="model-digest">
          <dt>{text.digest}</dt>
          <dd>
            {model.digest === null ? (
              '–'
            ) : (
              <>
                <code title={model.digest}>{shortDigest(model.digest)}</code>
                <CopyButton value={model.digest} label={text.digest} />
              </>
            )}
          </dd>
        </div>
      </dl>
    </li>
  );
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
