import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ChatRequest, ChatUsage } from '#chat/chat.contract.ts';
import { type Api, aborted } from './api.ts';
import { readChunk } from './chunk.ts';
import { en } from './i18n/en.ts';
import { Refusal, type RefusalCode } from './refusal.ts';
import { SseParser } from './sse.ts';

/** One question and its answer. Only `done` is confirmed on the record by the gateway; `stopped` is recorded as such. */
export interface Turn {
  readonly id: number;
  readonly model: string;
  readonly question: string;
  readonly answer: string;
  /** What the model thought before; no part of the conversation. */
  readonly thought: string;
  readonly state: 'waiting' | 'streaming' | 'done' | 'stopped' | 'incomplete' | 'failed';
  readonly refusal: Refusal | null;
  readonly finish: 'stop' | 'length' | null;
  readonly usage: ChatUsage | null;
  readonly requestId: string | null;
}

export interface Conversation {
  readonly turns: readonly Turn[];
  readonly busy: boolean;
  ask(model: string, question: string): void;
  /** Asks the last question again, in place of an answer that failed. */
  again(): void;
  stop(): void;
  clear(): void;
}

/** Lives above the pages, so that an answer keeps coming while another page is open. Kept in memory only. */
export function useConversation(api: Api, onSettled: () => void): Conversation {
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const current = useRef<readonly Turn[]>([]);
  const running = useRef<AbortController | null>(null);
  const settled = useRef(onSettled);
  settled.current = onSettled;

  useEffect(() => () => running.current?.abort(), []);

  const actions = useMemo(() => {
    const put = (next: readonly Turn[]): void => {
      current.current = next;
      setTurns(next);
    };
    const start = (before: readonly Turn[], model: string, question: string): void => {
      const abort = new AbortController();
      running.current = abort;
      let turn: Turn = { ...BLANK, id: (before.at(-1)?.id ?? 0) + 1, model, question };
      const change = (part: Partial<Turn>): void => {
        turn = { ...turn, ...part };
        if (running.current === abort) put([...before, turn]);
      };
      change({});
      void answer(api, before, turn, abort.signal, change).finally(() => {
        if (running.current === abort) running.current = null;
        setTurns((shown) => [...shown]);
        settled.current();
      });
    };
    return {
      ask: (model: string, question: string) => {
        if (running.current === null) start(current.current, model, question);
      },
      again: () => {
        const last = current.current.at(-1);
        if (last !== undefined && running.current === null)
          start(current.current.slice(0, -1), last.model, last.question);
      },
      stop: () => running.current?.abort(),
      clear: () => {
        running.current?.abort();
        running.current = null;
        put([]);
      },
    };
  }, [api]);

  return { turns, busy: running.current !== null, ...actions };
}

const BLANK = {
  answer: '',
  thought: '',
  state: 'waiting',
  refusal: null,
  finish: null,
  usage: null,
  requestId: null,
} as const satisfies Partial<Turn>;

/** Follows one answer to its end. Never throws: how it ended is the turn's last state. */
async function answer(
  api: Api,
  before: readonly Turn[],
  turn: Turn,
  signal: AbortSignal,
  change: (part: Partial<Turn>) => void,
): Promise<void> {
  let text = '';
  let thought = '';
  const paint = painter(() => change({ answer: text, thought, state: text === '' ? 'waiting' : 'streaming' }));
  try {
    const response = await api.open('POST', '/v1/chat/completions', { body: request(before, turn), signal });
    change({ requestId: response.headers.get('x-request-id') });
    for await (const step of steps(response)) {
      if (step.kind === 'done') return paint.last({ answer: text, thought, state: 'done' }, change);
      if (step.kind === 'error') throw new Refusal(known(step.code), { message: step.message });
      if (step.kind === 'unreadable') throw new Refusal('unreadable');
      if (step.usage !== null) change({ usage: step.usage });
      if (step.finish !== null) change({ finish: step.finish });
      if (step.text === '' && !step.thought) continue;
      text += step.text;
      thought += step.thought ?? '';
      paint.soon();
    }
    paint.last({ answer: text, thought, state: 'incomplete' }, change);
  } catch (error) {
    if (aborted(error) || signal.aborted) return paint.last({ answer: text, thought, state: 'stopped' }, change);
    const refusal = error instanceof Refusal ? error : null;
    paint.last(
      { answer: text, thought, state: text === '' && refusal !== null ? 'failed' : 'incomplete', refusal },
      change,
    );
  }
}

async function* steps(response: Response) {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const event of parser.push(decoder.decode(value, { stream: true }))) yield readChunk(event.data);
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

/** Only answers that stand are sent along: a refused or unconfirmed one is no part of the conversation. */
export function messagesOf(before: readonly Turn[], turn: Turn) {
  const messages: { role: 'user' | 'assistant'; content: string }[] = [];
  for (const { state, question, answer: said } of before) {
    if ((state !== 'done' && state !== 'stopped') || said === '') continue;
    messages.push({ role: 'user', content: question }, { role: 'assistant', content: said });
  }
  messages.push({ role: 'user', content: turn.question });
  return messages;
}

function request(before: readonly Turn[], turn: Turn): ChatRequest {
  const messages = messagesOf(before, turn);
  return { model: turn.model, messages, stream: true, stream_options: { include_usage: true } };
}

/** At most one repaint a frame, however fast the tokens come; the last one always, also in a hidden tab. */
function painter(paint: () => void) {
  let frame = 0;
  return {
    soon: (): void => {
      if (frame !== 0) return;
      frame = requestAnimationFrame(() => {
        frame = 0;
        paint();
      });
    },
    last: (part: Partial<Turn>, change: (part: Partial<Turn>) => void): void => {
      cancelAnimationFrame(frame);
      change(part);
    },
  };
}

const known = (code: string): RefusalCode => (Object.hasOwn(en.problems, code) ? (code as RefusalCode) : 'internal');
