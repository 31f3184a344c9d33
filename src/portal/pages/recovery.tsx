import { useEffect, useState } from 'preact/hooks';
import { useSafetyText } from '#portal/i18n/safety.ts';
import { CopyButton } from '#portal/parts/copy-button.tsx';
import { Gate } from '#portal/parts/gate.tsx';
import { Icon } from '#portal/parts/mark.tsx';

interface Props {
  readonly codes: readonly string[];
  readonly username: string;
  readonly onKept: () => void;
}

/** The only time that recovery codes are seen; the browser asks before it leaves this page. */
export function RecoveryPage({ codes, username, onKept }: Props) {
  const text = useSafetyText();
  const lines = codes.join('\n');
  const file = useTextFile(`${text.recoveryFileHead(username, location.host)}\n\n${lines}\n`);
  useEffect(() => {
    const hold = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener('beforeunload', hold);
    return () => removeEventListener('beforeunload', hold);
  }, []);
  return (
    <Gate title={text.recoveryTitle}>
      <div class="form">
        <p class="notice" role="status">
          {text.recoveryDone}
        </p>
        <p class="quiet">{text.recoveryWhy}</p>
        <ol class="codes" aria-label={text.recoveryTitle}>
          {codes.map((code) => (
            <li key={code}>
              <code>{code}</code>
            </li>
          ))}
        </ol>
        <div class="form-end">
          <CopyButton value={lines} />
          <a class="button" href={file} download={`strongroom-recovery-${username}.txt`}>
            <Icon name="down" />
            {text.download}
          </a>
        </div>
        <button type="button" class="button button-main button-wide" onClick={onKept}>
          {text.recoveryKept}
        </button>
      </div>
    </Gate>
  );
}

/** An address of the text within this page; gone when the page is. */
function useTextFile(content: string): string {
  const [address, setAddress] = useState('');
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([content], { type: 'text/plain;charset=utf-8' }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [content]);
  return address;
}
