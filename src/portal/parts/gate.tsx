import type { ComponentChildren } from 'preact';
import { useText } from '#portal/i18n/language.tsx';
import { LanguageSwitch } from './language-switch.tsx';
import { Icon, Mark } from './mark.tsx';
import { AuditBanner } from './notice.tsx';
import { Seal } from './seal.tsx';

interface Props {
  readonly title: string;
  readonly auditDown?: boolean;
  readonly children: ComponentChildren;
}

/** The front of the house: what is seen while nobody is signed in. */
export function Gate({ title, auditDown = false, children }: Props) {
  const text = useText();
  return (
    <div class="gate">
      <aside class="gate-front">
        <Seal />
        <div class="brand">
          <Mark />
          <span>{text.title}</span>
        </div>
        <div class="gate-words">
          <p class="gate-lead">{text.signInLead}</p>
          <ul>
            {text.signInPoints.map((point) => (
              <li key={point}>
                <Icon name="check" />
                {point}
              </li>
            ))}
          </ul>
        </div>
      </aside>
      <main class="gate-main">
        <div class="gate-tools">
          <LanguageSwitch />
        </div>
        <div class="gate-form">
          {auditDown && <AuditBanner />}
          <h1>{title}</h1>
          {children}
        </div>
      </main>
    </div>
  );
}
