import type { PolicyDiff } from '#access/policies.contract.ts';
import { usePolicyText } from '#portal/i18n/policy.ts';

/** Rule by rule: what stands now, and what stood there before. */
export function PolicyChanges({ diff }: { readonly diff: PolicyDiff }) {
  const text = usePolicyText();
  const groups = [
    [text.policyAdded, diff.added],
    [text.policyRemoved, diff.removed],
    [text.policyAltered, diff.changed],
  ] as const;
  const isSame = !diff.model && groups.every(([, lines]) => lines.length === 0);
  return (
    <div class="policy-changes">
      {isSame && <p class="quiet">{text.policySame}</p>}
      {diff.model && <p>{text.policyModel}</p>}
      {groups.map(
        ([title, lines]) =>
          lines.length > 0 && (
            <div key={title}>
              <h4>{title}</h4>
              <ul>
                {lines.map(({ name, before, after }) => (
                  <li key={name}>
                    <b>{name}</b>
                    {before !== null && <del>{before}</del>}
                    {after !== null && <ins>{after}</ins>}
                  </li>
                ))}
              </ul>
            </div>
          ),
      )}
    </div>
  );
}
