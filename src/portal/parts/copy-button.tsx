import { useEffect, useState } from 'preact/hooks';
import { useText } from '#portal/i18n/language.tsx';
import { Icon } from './mark.tsx';

/** Copies text; says so for two seconds. `label` names what is copied, where the button is an icon alone. */
export function CopyButton({ value, label }: { readonly value: string; readonly label?: string }) {
  const text = useText();
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 2000);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = (): void => {
    navigator.clipboard?.writeText(value).then(
      () => setDone(true),
      () => setDone(false),
    );
  };
  const name = done ? text.copied : text.copy;
  return (
    <button
      type="button"
      class={label === undefined ? 'button' : 'button button-icon button-tiny'}
      aria-label={label === undefined ? undefined : `${name}: ${label}`}
      title={name}
      onClick={copy}
    >
      <Icon name={done ? 'check' : 'copy'} />
      {label === undefined && <span aria-live="polite">{name}</span>}
    </button>
  );
}
