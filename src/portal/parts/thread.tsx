import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Turn } from '#portal/conversation.ts';
import { useText } from '#portal/i18n/language.tsx';
import { CopyButton } from './copy-button.tsx';
import { Icon } from './mark.tsx';
import { RefusalNotice } from './notice.tsx';

interface Props {
  readonly turns: readonly Turn[];
  readonly busy: boolean;
  readonly onAgain: () => void;
}

/** How near to the end, in pixels, still counts as reading the end. */
const NEAR = 48;

/** Follows the answer as it grows, until the reader scrolls up; then it stays where he reads. */
export function Thread({ turns, busy, onAgain }: Props) {
  const text = useText();
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const lastTop = useRef(0);
  const [away, setAway] = useState(false);
  const count = turns.length;

  const toEnd = (): void => {
    const element = box.current;
    if (element === null) return;
    follows.current = true;
    element.scrollTop = element.scrollHeight;
    lastTop.current = element.scrollTop;
    setAway(false);
  };
  const onScroll = (): void => {
    const element = box.current;
    if (element === null) return;
    const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
    if (rest <= NEAR) follows.current = true;
    else if (element.scrollTop < lastTop.current) follows.current = false;
    lastTop.current = element.scrollTop;
    setAway(!follows.current);
  };
  // A new question always brings the reader to it.
  useLayoutEffect(toEnd, [count]);
  useLayoutEffect(() => {
    if (follows.current) toEnd();
  }, [turns]);

  return (
    <div class="thread-frame">
      <h1 class="unseen">{text.tabs.ask}</h1>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by the keyboard */}
      <div class="thread" ref={box} onScroll={onScroll} tabIndex={0} role="log" aria-live="off">
        <div class="thread-column">
          {turns.map((turn, index) => (
            <TurnView key={turn.id} turn={turn} onAgain={!busy && index === count - 1 ? onAgain : null} />
          ))}
        </div>
      </div>
      {away && (
        <button type="button" class="button to-end" onClick={toEnd}>
          <Icon name="down" />
          {text.latest}
        </button>
      )}
    </div>
  );
}

function TurnView({ turn, onAgain }: { readonly turn: Turn; readonly onAgain: (() => void) | null }) {
  const text = useText();
  const open = turn.state === 'waiting' || turn.state === 'streaming';
  return (
    <article class="turn">
      <div class="question">
        <h2 class="label">{text.you}</h2>
        <p class="prose">{turn.question}</p>
      </div>
      <div class={`answer answer-${turn.state}`} aria-busy={open}>
        <h2 class="label">{turn.model}</h2>
        {turn.thought !== '' && (
          <details>
            <summary class="quiet">{text.thought}</summary>
            <p class="prose quiet">{turn.thought}</p>
          </details>
        )}
        {turn.answer !== '' && <p class="prose">{turn.answer}</p>}
        {turn.refusal !== null && <RefusalNotice refusal={turn.refusal} />}
        <TurnFooter turn={turn} />
        {onAgain !== null && (turn.state === 'failed' || turn.state === 'incomplete') && (
          <button type="button" class="button button-small" onClick={onAgain}>
            {text.retry}
          </button>
        )}
      </div>
    </article>
  );
}

/** Takes its place from the first moment, so that nothing moves when the answer ends. */
function TurnFooter({ turn }: { readonly turn: Turn }) {
  const text = useText();
  if (turn.state === 'failed') return null;
  const words = {
    waiting: text.waiting,
    streaming: text.answering,
    done: turn.finish === 'length' ? text.recorded + text.gap + text.cutShort : text.recorded,
    stopped: text.stopped,
    incomplete: turn.refusal === null ? text.incomplete + text.gap + text.incompleteWhy : text.incomplete,
  }[turn.state];
  const icon = turn.state === 'done' ? 'check' : turn.state === 'stopped' ? 'stop' : 'alert';
  const open = turn.state === 'waiting' || turn.state === 'streaming';
  return (
    <footer class="turn-foot">
      <span class="turn-state">
        {open ? <i class="pulse" /> : <Icon name={icon} />}
        {words}
      </span>
      {turn.usage !== null && (
        <span class="number">{text.tokens(turn.usage.prompt_tokens, turn.usage.completion_tokens)}</span>
      )}
      {turn.requestId !== null && (
        <span class="turn-request">
          <code title={turn.requestId}>{turn.requestId}</code>
          <CopyButton value={turn.requestId} label={text.requestId} />
          {!open && <a href={`#/receipt/${turn.requestId}`}>{text.tabs.receipt}</a>}
        </span>
      )}
    </footer>
  );
}
