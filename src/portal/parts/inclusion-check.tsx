import { useState } from 'preact/hooks';
import type { EventDetail } from '#audit/audit.contract.ts';
import { isInTree, signedHead } from '#audit/inclusion.shared.ts';
import type { InclusionProof } from '#audit/proof.contract.ts';
import { webCrypto } from '#audit/web-crypto.shared.ts';
import { type Api, useApi } from '#portal/api.ts';
import { useProofText } from '#portal/i18n/proof.ts';
import { useTask } from '#portal/task.ts';
import { Icon } from './mark.tsx';
import { RefusalNotice } from './notice.tsx';
import { useVerifierKey, VerifierKeyField } from './verifier-key.tsx';

type Verdict = { readonly of: EventDetail; readonly size: number; readonly fault: string | null } | 'unsigned';

/** That a record is in the tree that was signed: proof, root and signature, all checked here. */
export function InclusionCheck({ event }: { readonly event: EventDetail }) {
  const text = useProofText();
  const api = useApi();
  const task = useTask();
  const [key, setKey] = useVerifierKey();
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const shown = verdict === 'unsigned' || verdict?.of === event ? verdict : null;
  return (
    <section class="filter">
      <VerifierKeyField value={key} onValue={setKey} />
      <button
        type="button"
        class="button"
        disabled={task.busy}
        onClick={() => task.run(async () => setVerdict(await prove(api, event, key.trim())))}
      >
        {text.proveInTree}
      </button>
      {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
      {shown === 'unsigned' && <p role="status">{text.notSignedYet}</p>}
      {shown !== null && shown !== 'unsigned' && (
        <div class="filter" role={shown.fault === null ? 'status' : 'alert'}>
          <h3>
            <Icon name={shown.fault === null ? 'check' : 'alert'} />
            {shown.fault === null ? text.inTree : text.notInTree}
          </h3>
          <p>{shown.fault === null ? text.inTreeWhy(event.seq, shown.size) : `${text.notInTreeWhy} ${shown.fault}`}</p>
          <p class="quiet">{key.trim() === '' ? text.keyOfServer : text.keyGiven}</p>
        </div>
      )}
    </section>
  );
}

async function prove(api: Api, event: EventDetail, given: string): Promise<Verdict> {
  const answer = await api.open('GET', '/audit/checkpoint');
  const note = await answer.text();
  const named = given === '' ? await keyOfServer(api, answer.headers.get('x-request-id') ?? '') : given;
  const head = await signedHead(webCrypto, note, named);
  if (typeof head === 'string') return { of: event, size: 0, fault: head };
  const { size } = head;
  const seq = Number(event.seq);
  if (seq >= size) return 'unsigned';
  const { proof } = await api.send<InclusionProof>('GET', `/audit/proof/inclusion?seq=${seq}&size=${size}`);
  const included = await isInTree(webCrypto, { record: event.record, seq, proof }, head);
  return { of: event, size, fault: included ? null : '' };
}

/** The receipt of the call before names it. */
async function keyOfServer(api: Api, request: string): Promise<string> {
  const receipt = await api.send<{ verifier_key: string }>('GET', `/v1/receipts/${request}`);
  return receipt.verifier_key;
}
