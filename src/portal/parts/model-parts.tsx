import type { AdminModel } from '#models/models.contract.ts';
import { gibibytes, shortDigest } from '#portal/format.ts';
import { useTongue } from '#portal/i18n/language.tsx';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { CopyButton } from '#portal/parts/copy-button.tsx';

type Memory = AdminModel['memory'];

/** What was measured and what was expected: the first counts, the second shows how good the guess was. */
export function MemoryFact({ memory: { estimated, measured } }: { readonly memory: Memory }) {
  const text = useOfficeText();
  const said = ({ ram, vram }: NonNullable<Memory['measured']>): string =>
    vram === 0 ? gibibytes(ram) : text.memoryWithGpu(gibibytes(ram), gibibytes(vram));
  const expected = estimated === null || estimated.ram + estimated.vram === 0 ? null : said(estimated);
  return (
    <div>
      <dt>{text.memory}</dt>
      {measured !== null && <dd class="number">{text.memoryMeasured(said(measured))}</dd>}
      {expected !== null && <dd class="number quiet">{text.memoryEstimated(expected)}</dd>}
      {measured === null && expected === null && <dd>–</dd>}
    </div>
  );
}

export function AdapterFacts({ adapter }: { readonly adapter: NonNullable<AdminModel['adapter']> }) {
  const text = useOfficeText();
  const { language } = useTongue();
  return (
    <>
      <div>
        <dt>{text.adapter}</dt>
        <dd>{text.adapterText(adapter.name, adapter.scale.toLocaleString(language))}</dd>
      </div>
      <Digest name={text.adapterDigest} value={adapter.digest} />
    </>
  );
}

/** How often it was right, and whether it is used or why not. */
export function DraftFacts({ draft }: { readonly draft: NonNullable<AdminModel['draft']> }) {
  const text = useOfficeText();
  const { language } = useTongue();
  const { foreseen, right, use, costs } = draft;
  const share = (right / foreseen).toLocaleString(language, { style: 'percent', maximumFractionDigits: 1 });
  const milliseconds = (cost: number) => cost.toLocaleString(language, { maximumSignificantDigits: 3 });
  return (
    <>
      <div>
        <dt>{text.draft}</dt>
        <dd>{text.draftUses[use]}</dd>
        {foreseen > 0 && <dd class="number">{text.draftRight(share, foreseen)}</dd>}
        {costs.drafted !== null && costs.plain !== null && (
          <dd class="number quiet">{text.draftCosts(milliseconds(costs.drafted), milliseconds(costs.plain))}</dd>
        )}
      </div>
      <Digest name={text.draftDigest} value={draft.digest} />
    </>
  );
}

export function Digest({ name, value }: { readonly name: string; readonly value: string | null }) {
  return (
    <div class="model-digest">
      <dt>{name}</dt>
      <dd>
        {value === null ? (
          '–'
        ) : (
          <>
            <code title={value}>{shortDigest(value)}</code>
            <CopyButton value={value} label={name} />
          </>
        )}
      </dd>
    </div>
  );
}
