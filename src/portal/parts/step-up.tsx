import { type ComponentChildren, createContext } from 'preact';
import { useCallback, useContext, useState } from 'preact/hooks';
import { useApi } from '#portal/api.ts';
import { useText } from '#portal/i18n/language.tsx';
import { Refusal } from '#portal/refusal.ts';
import { useTask } from '#portal/task.ts';
import type { StepUpRequest, StepUpResponse } from '#stepup/stepup.contract.ts';
import { CodeField } from './field.tsx';
import { Modal } from './modal.tsx';
import { RefusalNotice } from './notice.tsx';

/** Spread into the call's options: nothing the first time, the proof when the same call is repeated. */
export type Proof = { readonly proof?: string };
type StepUp = <T>(call: (proof: Proof) => Promise<T>) => Promise<T>;

const Context = createContext<StepUp>((call) => call({}));

/** Makes a call; where the server wants a fresh second factor first, asks for it and makes the same call again. */
export const useStepUp = (): StepUp => useContext(Context);

interface Pending {
  readonly challenge: string;
  readonly operation: string | undefined;
  readonly settle: (proof: string | null) => void;
}

export function StepUpProvider({ children }: { readonly children: ComponentChildren }) {
  const [pending, setPending] = useState<Pending | null>(null);
  const stepUp = useCallback<StepUp>(async (call) => {
    try {
      return await call({});
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== 'step_up_required') throw error;
      const { challenge, operation } = error.detail;
      if (challenge === undefined) throw error;
      const proof = await new Promise<string | null>((resolve) => {
        setPending({ challenge, operation, settle: resolve });
      });
      setPending(null);
      if (proof === null) throw new DOMException('cancelled by the reader', 'AbortError');
      return call({ proof });
    }
  }, []);
  return (
    <Context.Provider value={stepUp}>
      {children}
      {pending !== null && <StepUpDialog key={pending.challenge} pending={pending} />}
    </Context.Provider>
  );
}

function StepUpDialog({ pending }: { readonly pending: Pending }) {
  const text = useText();
  const api = useApi();
  const task = useTask();
  const [code, setCode] = useState('');

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: StepUpRequest = { challenge: pending.challenge, code };
    task.run(async () => {
      try {
        const { proof } = await api.send<StepUpResponse>('POST', '/auth/step-up', { body });
        pending.settle(proof);
      } catch (error) {
        setCode('');
        throw error;
      }
    });
  };

  return (
    <Modal title={text.stepUp} onClose={() => pending.settle(null)}>
      <form class="form" onSubmit={submit}>
        {pending.operation !== undefined && <p class="operation">{pending.operation}</p>}
        <p class="quiet">{text.stepUpWhy}</p>
        <CodeField value={code} onValue={setCode} />
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
        <div class="form-end">
          <button type="button" class="button" onClick={() => pending.settle(null)}>
            {text.cancel}
          </button>
          <button type="submit" class="button button-main" disabled={task.busy}>
            {text.stepUpSend}
          </button>
        </div>
      </form>
    </Modal>
  );
}
