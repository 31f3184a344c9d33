import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { aborted, useApi } from './api.ts';
import { Refusal } from './refusal.ts';

export interface Task {
  readonly busy: boolean;
  readonly refusal: Refusal | null;
  run(work: () => Promise<void>): void;
  reset(): void;
}

/** One thing the reader asked for: at most one at a time, its refusal kept to be shown. */
export function useTask(): Task {
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const running = useRef(false);
  const run = useCallback((work: () => Promise<void>) => {
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setRefusal(null);
    work()
      .catch((error: unknown) => {
        if (!aborted(error)) setRefusal(Refusal.from(error));
      })
      .finally(() => {
        running.current = false;
        setBusy(false);
      });
  }, []);
  const reset = useCallback(() => setRefusal(null), []);
  return { busy, refusal, run, reset };
}

export interface Resource<T> {
  readonly data: T | null;
  /** Set where the last try failed; `data` may still hold what came before. */
  readonly refusal: Refusal | null;
  readonly at: string | null;
  refresh(): void;
}

/** What a GET answers; read again every `every` milliseconds while the page is visible. A null path reads nothing. */
export function useResource<T>(path: string | null, every?: number): Resource<T> {
  const api = useApi();
  const [state, setState] = useState<Omit<Resource<T>, 'refresh'>>({ data: null, refusal: null, at: null });
  const latest = useRef<AbortController | null>(null);

  const refresh = useCallback(() => {
    if (path === null) return;
    latest.current?.abort();
    const abort = new AbortController();
    latest.current = abort;
    api.send<T>('GET', path, { signal: abort.signal }).then(
      (data) => setState({ data, refusal: null, at: new Date().toISOString() }),
      (error: unknown) => {
        if (!aborted(error)) setState((before) => ({ ...before, refusal: Refusal.from(error) }));
      },
    );
  }, [api, path]);

  useEffect(() => {
    setState({ data: null, refusal: null, at: null });
    refresh();
    return () => latest.current?.abort();
  }, [refresh]);

  useEffect(() => {
    if (every === undefined) return;
    const look = (): void => {
      if (document.visibilityState === 'visible') refresh();
    };
    const timer = setInterval(look, every);
    document.addEventListener('visibilitychange', look);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
    };
  }, [refresh, every]);

  return { ...state, refresh };
}
