import type { OtherReplica } from '#models/models.contract.ts';
import { gibibytes } from '#portal/format.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';

interface Props {
  readonly replicas: readonly OtherReplica[];
}

/** Instances are long and random: their first digits tell them apart. */
const shortInstance = (instance: string): string => (instance.length > 16 ? `${instance.slice(0, 11)}…` : instance);

/** Said once for all models: where a request lands decides what it finds. */
export function CatalogueNotice({ replicas }: Props) {
  const text = useOfficeText();
  const others = replicas.filter(({ catalogue }) => catalogue === 'differs');
  if (others.length === 0) return null;
  return (
    <p class="notice notice-bad" role="status">
      {text.catalogueDiffers(others.map(({ instance }) => shortInstance(instance)).join(text.listGap))}
    </p>
  );
}

/** The same model on the other replicas. */
export function OnReplicas({ model, replicas }: Props & { readonly model: string }) {
  const text = useOfficeText();
  if (replicas.length === 0) return null;
  return (
    <div>
      <small class="quiet">{text.otherReplicas}</small>
      <ul class="model-servers" aria-label={text.otherReplicas}>
        {replicas.map(({ instance, report }) => (
          <li key={instance}>
            <code title={instance}>{shortInstance(instance)}</code>
            <Told report={report} model={model} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Told({ report, model }: { readonly report: OtherReplica['report']; readonly model: string }) {
  const text = useOfficeText();
  const found = report?.data.find(({ id }) => id === model);
  if (report === null) return <small class="quiet">{text.otherRelease}</small>;
  if (found === undefined) return <small class="quiet">{text.notOffered}</small>;
  const measured = found.memory.measured;
  return (
    <>
      <span class={`state state-${found.state}`}>{text.modelStates[found.state]}</span>
      <small class="quiet">{text.slotsBusy(found.busy, found.slots)}</small>
      {measured !== null && <small class="quiet">{text.memoryMeasured(gibibytes(measured.ram + measured.vram))}</small>}
    </>
  );
}
