import { useState } from 'preact/hooks';
import { type Check, filled, verifyReceipt } from '#audit/receipt.shared.ts';
import { sentAnswer, sentPrompt } from '#audit/receipt-texts.shared.ts';
import type { SpokenMessage } from '#audit/transcript.shared.ts';
import { webCrypto } from '#audit/web-crypto.shared.ts';
import type { messagesOf, Turn } from '#portal/conversation.ts';
import { useProofText } from '#portal/i18n/proof.ts';
import { Icon } from '#portal/parts/mark.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { useVerifierKey, VerifierKeyField } from '#portal/parts/verifier-key.tsx';
import { useResource } from '#portal/task.ts';

interface Props {
  readonly request: string;
  /** Of the conversation in this window: its texts need not be pasted. */
  readonly turns: readonly Turn[];
  /** Handed in, so that what is loaded first stays in one file. */
  readonly messages: typeof messagesOf;
}

interface Told {
  readonly verifier_key: string;
}

/** The receipt of one's own answer, checked here with Web Crypto by the code that the command line uses. */
export function ReceiptPage({ request, turns, messages: sent }: Props) {
  const text = useProofText();
  const known = /^req_[0-9a-f]{32}$/.test(request);
  const { data, refusal, refresh } = useResource<Told>(known ? `/v1/receipts/${request}` : null);
  const at = turns.findIndex((turn) => turn.requestId === request);
  const turn = turns[at];
  const [prompt, setPrompt] = useState(() => (turn === undefined ? '' : promptOf(sent(turns.slice(0, at), turn))));
  const [answer, setAnswer] = useState(turn?.answer ?? '');
  const [key, setKey] = useVerifierKey();
  const [checks, setChecks] = useState<readonly Check[] | null>(null);
  const [unread, setUnread] = useState(false);

  const check = async (receipt: Told): Promise<void> => {
    setChecks(null);
    const said = prompt.trim() === '' ? undefined : sentPrompt(prompt);
    setUnread(said === null);
    if (said === null) return;
    const texts = { ...(said !== undefined && { prompt: said }), ...(answer !== '' && { answer: sentAnswer(answer) }) };
    setChecks(await verifyReceipt(webCrypto, receipt, key.trim() || receipt.verifier_key, texts));
  };

  return (
    <div class="page">
      <header class="page-head">
        <h1>{text.receiptTitle}</h1>
        <p class="quiet">{text.receiptLead}</p>
      </header>
      {!known && <p class="empty">{text.receiptNone}</p>}
      {refusal !== null && <RefusalNotice refusal={refusal} onRetry={refresh} />}
      {known && data === null && refusal === null && <p class="empty">{text.loading}</p>}
      {data !== null && (
        <form
          class="card filter receipt"
          onSubmit={(event) => {
            event.preventDefault();
            void check(data);
          }}
        >
          <p>
            <code>{request}</code>
          </p>
          <TextBox label={text.receiptPrompt} hint={text.receiptPromptHint} value={prompt} onValue={setPrompt} />
          <TextBox label={text.receiptAnswer} value={answer} onValue={setAnswer} />
          <VerifierKeyField value={key} onValue={setKey} />
          <div class="filter-end">
            <button type="submit" class="button button-main">
              {text.receiptCheck}
            </button>
            <button type="button" class="button" onClick={() => save(`${request}.json`, data)}>
              {text.receiptSave}
            </button>
          </div>
          {unread && <p role="alert">{text.receiptUnread}</p>}
          {checks !== null && <CheckList checks={checks} />}
          {checks !== null && <p class="quiet">{key.trim() === '' ? text.keyOfServer : text.keyGiven}</p>}
          <p class="quiet">
            {text.receiptOffline} {text.pageTrust}
          </p>
        </form>
      )}
    </div>
  );
}

function CheckList({ checks }: { readonly checks: readonly Check[] }) {
  const text = useProofText();
  const good = checks.every(({ ok }) => ok);
  return (
    <section class={good ? 'filter' : 'filter notice-bad'} role={good ? 'status' : 'alert'}>
      <h2>
        <Icon name={good ? 'check' : 'alert'} />
        {good ? text.receiptGood : text.receiptBad}
      </h2>
      <dl class="fields">
        {checks.map(({ name, ok, sentence, words }) => (
          <div key={name} data-check={name} data-ok={ok}>
            <dt>{text.checks[name]}</dt>
            <dd>
              {ok ? text.passed : <b>{text.failed}</b>}
              <small class="field-second">{filled(text.sentences[sentence] ?? sentence, words)}</small>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

interface BoxProps {
  readonly label: string;
  readonly hint?: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
}

function TextBox({ label, hint, value, onValue }: BoxProps) {
  return (
    <label class="field">
      {label}
      <textarea rows={4} value={value} onInput={(event) => onValue(event.currentTarget.value)} />
      {hint !== undefined && <small class="quiet">{hint}</small>}
    </label>
  );
}

/** One question is shown as it is; what was sent with its conversation, as the messages. */
function promptOf(messages: readonly SpokenMessage[]): string {
  const [only] = messages;
  return messages.length === 1 && only !== undefined ? only.content : JSON.stringify(messages);
}

function save(name: string, receipt: Told): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(receipt, null, 2)], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
