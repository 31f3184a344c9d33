import { useState } from 'preact/hooks';
import type { RecoveryCodes, TotpActivation, TotpRequest, TotpResponse } from '#identity/factors.contract.ts';
import type { User } from '#identity/identity.contract.ts';
import { hasFactor } from '#portal/account.ts';
import { useApi } from '#portal/api.ts';
import { inFours } from '#portal/code.ts';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { CopyButton } from '#portal/parts/copy-button.tsx';
import { CodeField } from '#portal/parts/field.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { OwnPasswordField, useOwnPassword } from '#portal/parts/own-password.tsx';
import { PasskeyForm } from '#portal/parts/passkey-form.tsx';
import { QrCode } from '#portal/parts/qr-code.tsx';
import { useStepUp } from '#portal/parts/step-up.tsx';
import { useTask } from '#portal/task.ts';

interface Props {
  readonly user: User;
  readonly onCodes: (codes: readonly string[]) => void;
}

/** Sets a second factor up, or replaces it. Nothing changes before a code of the new one has been given. */
export function FactorPage({ user, onCodes }: Props) {
  const text = useSafetyText();
  const [totp, setTotp] = useState<TotpResponse | null>(null);
  const [kind, setKind] = useState<FactorKind>('app');
  return (
    <div class="page">
      <header class="page-head">
        <h1>{user.has_totp ? text.factorReplace : text.factorSetUp}</h1>
        <p class="quiet">{user.must_enrol ? text.factorMust : text.factorLead}</p>
      </header>
      <section class="card factor">
        {totp === null ? (
          <>
            {!hasFactor(user) && <KindChoice kind={kind} onKind={setKind} />}
            {kind === 'passkey' ? (
              <PasskeyForm user={user} onCodes={onCodes} />
            ) : (
              <BeginForm user={user} onBegun={setTotp} />
            )}
          </>
        ) : (
          <ActivateForm user={user} totp={totp} onCodes={onCodes} />
        )}
      </section>
    </div>
  );
}

type FactorKind = 'app' | 'passkey';

interface ChoiceProps {
  readonly kind: FactorKind;
  readonly onKind: (kind: FactorKind) => void;
}

/** Of the first factor only: whoever has one adds the other sort from his own page. */
function KindChoice({ kind, onKind }: ChoiceProps) {
  const text = useSafetyText();
  const kinds = [
    ['app', text.factorApp, text.factorAppHint],
    ['passkey', text.factorPasskey, text.factorPasskeyHint],
  ] as const;
  return (
    <fieldset class="kinds">
      <legend>{text.factorChoice}</legend>
      {kinds.map(([value, label, hint]) => (
        <label key={value} class="kind">
          <input type="radio" name="factor" checked={kind === value} onChange={() => onKind(value)} />
          <span>
            <b>{label}</b>
            <small>{hint}</small>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function BeginForm({ user, onBegun }: { readonly user: User; readonly onBegun: (totp: TotpResponse) => void }) {
  const text = useSafetyText();
  const api = useApi();
  const stepUp = useStepUp();
  const task = useTask();
  const own = useOwnPassword();

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: TotpRequest = hasFactor(user) ? {} : own.body;
    task.run(async () => {
      onBegun(await stepUp((proof) => api.send<TotpResponse>('POST', '/auth/totp/enrol', { body, ...proof })));
    });
  };

  return (
    <form class="form factor-begin" onSubmit={submit}>
      <h2>{text.factorBeginTitle}</h2>
      <p>{user.has_totp ? text.factorReplaceWhy : text.factorNeeds}</p>
      {!hasFactor(user) && <OwnPasswordField user={user} own={own} focus />}
      {task.refusal !== null && (
        <RefusalNotice refusal={task.refusal} words={{ invalid_credentials: text.passwordWrong }} />
      )}
      <div class="form-end">
        {!user.must_enrol && (
          <a class="button" href="#/security">
            {text.cancel}
          </a>
        )}
        <button type="submit" class="button button-main" disabled={task.busy}>
          {text.factorBegin}
        </button>
      </div>
    </form>
  );
}

interface ActivateProps extends Props {
  readonly totp: TotpResponse;
}

function ActivateForm({ user, totp, onCodes }: ActivateProps) {
  const text = useSafetyText();
  const api = useApi();
  const task = useTask();
  const [code, setCode] = useState('');

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: TotpActivation = { code };
    task.run(async () => {
      try {
        const answer = await api.send<RecoveryCodes>('POST', '/auth/totp/activate', { body });
        onCodes(answer.recovery_codes);
      } catch (error) {
        setCode('');
        throw error;
      }
    });
  };

  return (
    <>
      <div class="factor-scan">
        <QrCode value={totp.uri} label={text.factorQr} />
        <div class="factor-words">
          <h2>{text.factorScan}</h2>
          <p class="quiet">{text.factorScanHow}</p>
          {totp.uri.startsWith('otpauth://totp/') && (
            <p>
              <a class="link" href={totp.uri}>
                {text.factorHere}
              </a>
            </p>
          )}
          <p class="quiet">{text.factorByHand}</p>
          <p class="factor-secret">
            <code>
              {inFours(totp.secret).map((group, index) => (
                <span key={index}>{group}</span>
              ))}
            </code>
            <CopyButton value={totp.secret} label={text.factorSecret} />
          </p>
          <p class="hint">{text.factorFacts(totp.digits, totp.period)}</p>
        </div>
      </div>
      <form class="form factor-code" onSubmit={submit}>
        <h2>{text.factorProve}</h2>
        <p class="quiet">{user.has_totp ? text.factorThenReplaced : text.factorThen}</p>
        <CodeField value={code} onValue={setCode} />
        {task.refusal !== null && (
          <RefusalNotice refusal={task.refusal} words={{ invalid_credentials: text.codeWrong }} />
        )}
        <div class="form-end">
          {!user.must_enrol && (
            <a class="button" href="#/security">
              {text.cancel}
            </a>
          )}
          <button type="submit" class="button button-main" disabled={task.busy}>
            {text.factorActivate}
          </button>
        </div>
      </form>
    </>
  );
}
