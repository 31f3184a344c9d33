import { useCallback, useEffect, useState } from 'preact/hooks';
import { type Api, aborted, useApi } from './api.ts';
import { Refusal } from './refusal.ts';
import { SseParser } from './sse.ts';
import type { Resource } from './task.ts';

/** A stream that ended is opened anew after this; while it could not be, what was last heard is shown as stale. */
const REOPEN_MS = 2000;

/** What a stream of server-sent events said last, each event being the whole. Read while the page is open. */
export function useLive<T>(path: string): Resource<T> {
  const api = useApi();
  const [state, setState] = useState<Omit<Resource<T>, 'refresh'>>({ data: null, refusal: null, at: null });
  const [round, setRound] = useState(0);
  const refresh = useCallback(() => setRound((before) => before + 1), []);

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const follow = (): void => {
      listen<T>(api, path, abort.signal, (data) => setState({ data, refusal: null, at: new Date().toISOString() }))
        .catch((error: unknown) => {
          if (!aborted(error)) setState((before) => ({ ...before, refusal: Refusal.from(error) }));
        })
        .finally(() => {
          if (!abort.signal.aborted) timer = setTimeout(follow, REOPEN_MS);
        });
    };
    follow();
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [api, path, round]);

  return { ...state, refresh };
}

async function listen<T>(api: Api, path: string, signal: AbortSignal, hear: (data: T) => void): Promise<void> {
  const response = await api.open('GET', path, { signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new SseParser();
  for (let part = await reader?.read(); part !== undefined && !part.done; part = await reader?.read()) {
    for (const { data } of parser.push(part.value)) {
      if (data === '[DONE]') return;
      const said = JSON.parse(data) as T & { error?: unknown };
      // The stream's own way to say that it ends: the next one finds out why.
      if (said.error === undefined) hear(said);
    }
  }
}
