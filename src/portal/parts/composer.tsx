import { useRef } from 'preact/hooks';
import { useText } from '#portal/i18n/language.tsx';
import { Icon } from './mark.tsx';

interface Props {
  readonly draft: string;
  readonly onDraft: (draft: string) => void;
  readonly busy: boolean;
  /** There is a model to ask. */
  readonly ready: boolean;
  readonly onSend: (question: string) => void;
  readonly onStop: () => void;
}

/** Safari ends a composition before the Enter that ended it arrives, and marks that Enter only by this code. */
const COMPOSING_KEY = 229;

export function Composer({ draft, onDraft, busy, ready, onSend, onStop }: Props) {
  const text = useText();
  const box = useRef<HTMLTextAreaElement>(null);
  const sendable = ready && !busy && draft.trim() !== '';

  const send = (): void => {
    if (!sendable) return;
    onSend(draft.trim());
    onDraft('');
    box.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === COMPOSING_KEY) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="composer-box">
        <textarea
          ref={box}
          aria-label={text.message}
          placeholder={text.messagePlaceholder}
          rows={2}
          value={draft}
          onInput={(event) => onDraft(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {busy ? (
          <button type="button" class="button composer-go composer-stop" onClick={onStop}>
            <Icon name="stop" />
            {text.stop}
          </button>
        ) : (
          <button type="submit" class="button button-main composer-go" disabled={!sendable}>
            <Icon name="send" />
            {text.send}
          </button>
        )}
      </div>
      <p class="hint composer-hint">{text.messageKeys}</p>
    </form>
  );
}
