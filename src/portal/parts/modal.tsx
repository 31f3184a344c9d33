import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import { useText } from '#portal/i18n/language.tsx';
import { Icon } from './mark.tsx';

interface Props {
  readonly title: ComponentChildren;
  readonly kind?: 'box' | 'sheet';
  readonly actions?: ComponentChildren;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** The platform's own dialog: it keeps the focus inside, closes on Escape and gives the focus back. */
export function Modal({ title, kind = 'box', actions, onClose, children }: Props) {
  const text = useText();
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();

  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);

  return (
    <dialog
      ref={dialog}
      class={`modal modal-${kind}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header class="modal-head">
        <h2 class="modal-title" id={titleId}>
          {title}
        </h2>
        {actions}
        <button type="button" class="button button-icon" aria-label={text.close} title={text.close} onClick={onClose}>
          <Icon name="cross" />
        </button>
      </header>
      <div class="modal-body">{children}</div>
    </dialog>
  );
}
