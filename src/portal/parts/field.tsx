import type { InputHTMLAttributes } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ANY_PATTERN, cleanCode, DIGITS_PATTERN, isRecovery } from '#portal/code.ts';
import { useText } from '#portal/i18n/language.tsx';

interface Props {
  readonly label: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly type?: 'text' | 'password' | 'datetime-local';
  readonly hint?: string;
  readonly autoComplete?: string;
  readonly required?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly focus?: boolean;
  readonly list?: readonly string[];
  readonly pattern?: string;
}

/** A labelled input. Passwords can be shown and pasted, and are sent exactly as typed. */
export function Field(props: Props) {
  const { label, value, onValue, type = 'text', hint, list } = props;
  const text = useText();
  const id = useId();
  const box = useFocus(props.focus ?? false);
  const [shown, setShown] = useState(false);
  const shownType = type === 'password' && shown ? 'text' : type;
  // The JSX types want type and list to be known together; here both are arguments.
  const kind = { type: shownType, ...(list && { list: `${id}-list` }) } as InputHTMLAttributes<HTMLInputElement>;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="field-box">
        <input
          id={id}
          {...kind}
          value={value}
          onInput={(event) => onValue(event.currentTarget.value)}
          aria-describedby={hint === undefined ? undefined : `${id}-hint`}
          autocomplete={props.autoComplete ?? 'off'}
          autocapitalize="none"
          spellcheck={false}
          required={props.required ?? false}
          minLength={props.minLength}
          maxLength={props.maxLength ?? 200}
          pattern={props.pattern}
          ref={box}
          // biome-ignore lint/a11y/noAutofocus: a dialog asks this attribute where to put the cursor
          autoFocus={props.focus ?? false}
        />
        {type === 'password' && (
          <button
            type="button"
            class="field-show"
            aria-pressed={shown}
            aria-label={shown ? text.hidePassword : text.showPassword}
            title={shown ? text.hidePassword : text.showPassword}
            onClick={() => setShown(!shown)}
          >
            <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
              <path d="M1.2 8S3.6 3.6 8 3.6 14.8 8 14.8 8 12.4 12.4 8 12.4 1.2 8 1.2 8Z" />
              <circle cx="8" cy="8" r="2" />
              {shown && <path d="M2.5 13.5l11-11" />}
            </svg>
          </button>
        )}
      </div>
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {list !== undefined && (
        <datalist id={`${id}-list`}>
          {list.map((choice) => (
            <option key={choice} value={choice} />
          ))}
        </datalist>
      )}
    </div>
  );
}

/** Puts the cursor where the reader was just asked for something. */
function useFocus(wanted: boolean) {
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (wanted) box.current?.focus();
  }, [wanted]);
  return box;
}

interface CodeProps {
  readonly value: string;
  readonly onValue: (value: string) => void;
  /** A recovery code does as well. */
  readonly recovery?: boolean;
  /** Begins with that. */
  readonly letters?: boolean;
  readonly focus?: boolean;
}

/** A code of the second factor: large enough to compare with the telephone, and good for a pasted one with spaces. */
export function CodeField({ value, onValue, recovery = false, letters: first = false, focus = true }: CodeProps) {
  const text = useText();
  const id = useId();
  const box = useFocus(focus);
  // Only the label and the telephone's keyboard: either sort of code is taken in either state.
  const [letters, setLetters] = useState(first);
  return (
    <div class="field">
      <label for={id}>{letters ? text.recoveryCode : text.code}</label>
      <input
        id={id}
        class={letters || isRecovery(value) ? 'code-input code-input-long' : 'code-input'}
        inputMode={letters ? 'text' : 'numeric'}
        autocomplete="one-time-code"
        autocapitalize="none"
        spellcheck={false}
        pattern={recovery ? ANY_PATTERN : DIGITS_PATTERN}
        maxLength={40}
        required
        value={value}
        aria-describedby={`${id}-hint`}
        onInput={(event) => {
          const code = cleanCode(event.currentTarget.value, recovery);
          event.currentTarget.value = code;
          onValue(code);
        }}
        ref={box}
        // biome-ignore lint/a11y/noAutofocus: a dialog asks this attribute where to put the cursor
        autoFocus={focus}
      />
      <p class="hint" id={`${id}-hint`}>
        {letters ? text.recoveryHint : text.codeHint}
      </p>
      {recovery && (
        <button
          type="button"
          class="link hint"
          onClick={() => {
            setLetters(!letters);
            box.current?.focus();
          }}
        >
          {letters ? text.useCode : text.useRecovery}
        </button>
      )}
    </div>
  );
}
