import { useState } from 'preact/hooks';
import type { KeyRequest, KeyResponse, User } from '#identity/identity.contract.ts';
import type { ModelList } from '#models/models.contract.ts';
import { hasFactor } from '#portal/account.ts';
import { useApi } from '#portal/api.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { useResource, useTask } from '#portal/task.ts';
import { Choices } from './choices.tsx';
import { Field } from './field.tsx';
import { RefusalNotice } from './notice.tsx';
import { useStepUp } from './step-up.tsx';

const LIFETIMES = [30, 90, 180, 366] as const;
const ACTIONS = ['infer', 'models.list', 'usage.read'] as const;
type KeyAction = (typeof ACTIONS)[number];

export function KeyForm({ user, onMade }: { readonly user: User; readonly onMade: (key: KeyResponse) => void }) {
  const text = useOfficeText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [days, setDays] = useState('90');
  const [models, setModels] = useState<readonly string[]>([]);
  const [actions, setActions] = useState<readonly KeyAction[]>([]);

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: KeyRequest = {
      name,
      ...(hasFactor(user) ? {} : { password }),
      ...(days === '' ? {} : { expires_in_days: Number(days) }),
      ...(models.length === 0 ? {} : { models: [...models] }),
      ...(actions.length === 0 ? {} : { actions: [...actions] }),
    };
    task.run(async () => {
      const key = await stepUp((proof) => api.send<KeyResponse>('POST', '/auth/keys', { body, ...proof }));
      setName('');
      setPassword('');
      setModels([]);
      setActions([]);
      onMade(key);
    });
  };

  return (
    <form class="form" onSubmit={submit}>
      <h2>{text.keyCreate}</h2>
      <Field label={text.keyName} hint={text.keyNameHint} maxLength={64} value={name} onValue={setName} required />
      <div class="field">
        <label for="key-days">{text.keyExpiry}</label>
        <select id="key-days" value={days} onChange={(event) => setDays(event.currentTarget.value)}>
          {LIFETIMES.map((lifetime) => (
            <option key={lifetime} value={lifetime}>
              {text.keyDays(lifetime)}
            </option>
          ))}
          <option value="">{text.never}</option>
        </select>
      </div>
      <LimitFields models={models} onModels={setModels} actions={actions} onActions={setActions} />
      {!hasFactor(user) && (
        <Field
          label={text.keyPassword}
          type="password"
          autoComplete="current-password"
          maxLength={128}
          value={password}
          onValue={setPassword}
          required
        />
      )}
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      <div class="form-end">
        <button type="submit" class="button button-main" disabled={task.busy}>
          {text.keyCreate}
        </button>
      </div>
    </form>
  );
}

interface LimitProps {
  readonly models: readonly string[];
  readonly onModels: (models: readonly string[]) => void;
  readonly actions: readonly KeyAction[];
  readonly onActions: (actions: readonly KeyAction[]) => void;
}

/** Nothing chosen is no limit: the key may do what its account may. */
function LimitFields({ models, onModels, actions, onActions }: LimitProps) {
  const text = useOfficeText();
  const known = useResource<ModelList>('/v1/models').data?.data ?? [];
  return (
    <details class="limits">
      <summary>{text.keyLimits}</summary>
      <div class="form">
        {known.length > 0 && (
          <Choices
            legend={text.keyModels}
            hint={models.length === 0 ? text.keyModelsAll : text.keyModelsOnly}
            choices={known.map(({ id }) => [id, id] as const)}
            chosen={models}
            onChosen={onModels}
          />
        )}
        <Choices
          legend={text.keyMay}
          hint={actions.length === 0 ? text.keyActionsAll : text.keyActionsOnly}
          choices={ACTIONS.map((action) => [action, text.keyActions[action]] as const)}
          chosen={actions}
          onChosen={onActions}
        />
      </div>
    </details>
  );
}
