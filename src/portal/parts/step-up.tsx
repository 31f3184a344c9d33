import { type ComponentChildren, type ComponentType, createContext } from 'preact';
import { useCallback, useContext, useState } from 'preact/hooks';
import { Refusal } from '#portal/refusal.ts';

/** Spread into the call's options: nothing the first time, the proof when the same call is repeated. */
export type Proof = { readonly proof?: string };
type StepUp = <T>(call: (proof: Proof) => Promise<T>) => Promise<T>;

const Context = createContext<StepUp>((call) => call({}));

/** Makes a call; where the server wants a fresh second factor first, asks for it and makes the same call again. */
export const useStepUp = (): StepUp => useContext(Context);

/** What is to be confirmed. `settle` takes the proof, or null where the reader would rather not. */
export interface Pending {
  readonly challenge: string;
  readonly operation: string | undefined;
  /** Which factors can confirm it, `passkey` and `totp`. */
  readonly factors: string;
  readonly settle: (proof: string | null) => void;
}

type Dialog = ComponentType<{ readonly pending: Pending }>;

interface Shown {
  readonly Dialog: Dialog;
  readonly pending: Pending;
}

interface Props {
  /** Only the pages that change something need the dialog, so it comes later. */
  readonly load: () => Promise<Dialog>;
  readonly children: ComponentChildren;
}

export function StepUpProvider({ load, children }: Props) {
  const [shown, setShown] = useState<Shown | null>(null);
  const stepUp = useCallback<StepUp>(
    async (call) => {
      try {
        return await call({});
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== 'step_up_required') throw error;
        const { challenge, operation, factors = 'totp' } = error.detail;
        if (challenge === undefined) throw error;
        const Dialog = await load();
        const proof = await new Promise<string | null>((settle) => {
          setShown({ Dialog, pending: { challenge, operation, factors, settle } });
        });
        setShown(null);
        if (proof === null) throw new DOMException('cancelled by the reader', 'AbortError');
        return call({ proof });
      }
    },
    [load],
  );
  return (
    <Context.Provider value={stepUp}>
      {children}
      {shown !== null && <shown.Dialog key={shown.pending.challenge} pending={shown.pending} />}
    </Context.Provider>
  );
}
