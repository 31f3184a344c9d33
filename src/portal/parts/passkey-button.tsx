import { useLayoutEffect, useRef } from 'preact/hooks';
import type { RequestOptions } from '#identity/webauthn.contract.ts';
import { useWaysText } from '#portal/i18n/ways.ts';
import { answerWithPasskey } from '#portal/passkey.ts';
import { type Task, useTask } from '#portal/task.ts';
import { Icon } from './mark.tsx';
import { RefusalNotice } from './notice.tsx';

interface Props {
  /** What is to be signed, asked anew at each try. */
  readonly options: () => Promise<RequestOptions>;
  readonly onAnswer: (assertion: Awaited<ReturnType<typeof answerWithPasskey>>) => Promise<void>;
  /** Another way follows. */
  readonly or: boolean;
}

/** Asks the passkey where a code would be typed. */
export function PasskeyButton({ options, onAnswer, or }: Props) {
  const text = useWaysText();
  const task: Task = useTask();
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => button.current?.focus(), []);
  return (
    <div class="passkey-ask">
      <button
        type="button"
        class="button button-main button-wide"
        ref={button}
        disabled={task.busy}
        onClick={() => task.run(async () => onAnswer(await answerWithPasskey(await options())))}
      >
        <Icon name="key" />
        {text.passkeyUse}
      </button>
      <p class="hint">{text.passkeyUseHint}</p>
      {task.refusal !== null && (
        <RefusalNotice refusal={task.refusal} words={{ invalid_credentials: text.passkeyWrong }} />
      )}
      {or && <p class="or">{text.or}</p>}
    </div>
  );
}
