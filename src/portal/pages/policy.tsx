import { useState } from 'preact/hooks';
import type { PolicyContent, PolicyDiff, PolicyImported, PolicyList } from '#access/policies.contract.ts';
import { useApi } from '#portal/api.ts';
import { stamp } from '#portal/format.ts';
import { usePolicyText } from '#portal/i18n/policy.ts';
import { Field } from '#portal/parts/field.tsx';
import { Icon } from '#portal/parts/mark.tsx';
import { Modal } from '#portal/parts/modal.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { PolicyChanges } from '#portal/parts/policy-changes.tsx';
import { PolicyQuestion } from '#portal/parts/policy-question.tsx';
import { useStepUp } from '#portal/parts/step-up.tsx';
import { goTo } from '#portal/route.ts';
import { useResource, useTask } from '#portal/task.ts';

const NEW = 'new';
const close = (): void => goTo('policy');

/** `open`: the number of the version whose sheet is open, or `new`. */
export function PolicyPage({ open }: { readonly open: string }) {
  const text = usePolicyText();
  const policies = useResource<PolicyList>('/admin/policies');
  const { data, refusal } = policies;
  const chosen = data?.data.find(({ version }) => String(version) === open);
  const folder = data?.folder;
  const lines = folder ? folder.diff.added.length + folder.diff.removed.length + folder.diff.changed.length : 0;
  const changed = (version: number): void => {
    policies.refresh();
    goTo(`policy/${version}`);
  };
  return (
    <div class="page page-wide">
      <header class="page-head page-head-row">
        <div>
          <h1>{text.policyTitle}</h1>
          <p class="quiet">{text.policyLead}</p>
        </div>
        <a class="button button-main" href={`#/policy/${NEW}`}>
          <Icon name="plus" />
          {text.policyNew}
        </a>
      </header>
      {refusal !== null && <RefusalNotice refusal={refusal} onRetry={policies.refresh} />}
      {folder?.differs === true && (
        <div class="notice">
          <Icon name="alert" />
          <p>{text.policyFolder(lines)}</p>
        </div>
      )}
      <section class="card events" aria-label={text.policyTitle} aria-busy={data === null}>
        {data === null ? <p class="empty">{text.loading}</p> : <Versions list={data} open={open} />}
      </section>
      <PolicyQuestion />
      {chosen !== undefined && (
        <VersionSheet key={chosen.version} version={chosen.version} current={data?.current ?? 0} onChanged={changed} />
      )}
      {open === NEW && <ImportDialog onChanged={changed} />}
    </div>
  );
}

function Versions({ list, open }: { readonly list: PolicyList; readonly open: string }) {
  const text = usePolicyText();
  return (
    <table class="table users">
      <thead>
        <tr>
          <th scope="col">{text.policyVersion}</th>
          <th scope="col">{text.policyWhen}</th>
          <th scope="col">{text.policyBy}</th>
          <th scope="col">{text.policyWhy}</th>
        </tr>
      </thead>
      <tbody>
        {list.data.map(({ version, created_at, created_by, reason, restored }) => (
          <tr
            key={version}
            class={String(version) === open ? 'row-open' : ''}
            onClick={() => goTo(`policy/${version}`)}
          >
            <td>
              <a href={`#/policy/${version}`}>{version}</a>{' '}
              {version === list.current && <span class="state state-active">{text.policyInForce}</span>}
            </td>
            <td data-label={text.policyWhen} class="number">
              {stamp(created_at).slice(0, 16)}
            </td>
            <td data-label={text.policyBy}>
              <code>{created_by.slice(0, 12)}</code>
            </td>
            <td data-label={text.policyWhy}>
              {[restored === null ? '' : text.policyRestored(restored), reason].filter(Boolean).join(' · ') || '–'}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface SheetProps {
  readonly version: number;
  readonly current: number;
  readonly onChanged: (version: number) => void;
}

/** What a version changed, its whole text, and the way back to it. */
function VersionSheet({ version, current, onChanged }: SheetProps) {
  const text = usePolicyText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const path = `/admin/policies/${version}`;
  const diff = useResource<PolicyDiff>(version === 1 ? null : `${path}/diff?against=${version - 1}`);
  const content = useResource<PolicyContent>(path);
  const putBack = (): void =>
    task.run(async () => {
      const made = await stepUp((proof) =>
        api.send<PolicyImported>('POST', `${path}/rollback`, { body: {}, ...proof }),
      );
      onChanged(made.version.version);
    });
  const refusal = task.refusal ?? diff.refusal ?? content.refusal;
  return (
    <Modal
      title={`${text.policyVersion} ${version}`}
      kind="sheet"
      onClose={close}
      actions={
        version !== current && (
          <button type="button" class="button button-small" disabled={task.busy} onClick={putBack}>
            {text.policyBack}
          </button>
        )
      }
    >
      {refusal !== null && <RefusalNotice refusal={refusal} words={text.policyRefusals} />}
      {diff.data !== null && (
        <section class="policy-part">
          <h3>{text.policyChanged(version)}</h3>
          <PolicyChanges diff={diff.data} />
        </section>
      )}
      <section class="policy-part">
        <h3>{text.policyText}</h3>
        <pre class="policy-text">{content.data?.policy ?? text.loading}</pre>
      </section>
    </Modal>
  );
}

/** The file as it is, a reason, and a code for just this text. */
function ImportDialog({ onChanged }: Pick<SheetProps, 'onChanged'>) {
  const text = usePolicyText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const [policy, setPolicy] = useState('');
  const [reason, setReason] = useState('');
  const submit = (event: Event): void => {
    event.preventDefault();
    task.run(async () => {
      const body = { policy, reason };
      const made = await stepUp((proof) => api.send<PolicyImported>('POST', '/admin/policies', { body, ...proof }));
      onChanged(made.version.version);
    });
  };
  return (
    <Modal title={text.policyNew} kind="sheet" onClose={close}>
      <form class="form" onSubmit={submit}>
        <div class="field">
          <label for="policy-file">{text.policyFile}</label>
          <input
            id="policy-file"
            type="file"
            accept=".csv,text/csv"
            onChange={(event) => {
              const [file] = event.currentTarget.files ?? [];
              if (file !== undefined) task.run(async () => setPolicy(await file.text()));
            }}
          />
          <textarea
            class="policy-text"
            aria-label={text.policyText}
            rows={16}
            spellcheck={false}
            required
            value={policy}
            onInput={(event) => setPolicy(event.currentTarget.value)}
          />
          <p class="hint">{text.policyFileHint}</p>
        </div>
        <Field label={text.policyWhy} value={reason} onValue={setReason} maxLength={200} />
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} words={text.policyRefusals} />}
        <div class="form-end">
          <button type="button" class="button" onClick={close}>
            {text.cancel}
          </button>
          <button type="submit" class="button button-main" disabled={task.busy || policy.trim() === ''}>
            {text.policyImport}
          </button>
        </div>
      </form>
    </Modal>
  );
}
