import initialize from 'node-seal';
import { ScoringClient } from '#scoring/client.shared.ts';
import { readCustomers, TableFault } from '#scoring/customers.shared.ts';
import type { SecretSeal } from '#scoring/secret.shared.ts';
import type { Answers, Ask, Said } from './messages.ts';

/**
 * The other half of encrypted scoring, in a worker of its own: the secret key is made here, is never written, and dies with
 * the worker. Only frames and rounded scores go out.
 */
const SEAL_FILE = '/seal.wasm';
/** Of seal_throws.wasm in node-seal 7.0.0: another file is not run. */
const SEAL_SHA256 = 'b30d3776265a56373a2001d2cd48baa8d72ddd571e04ddfaefd4c231271170e4';

let client: ScoringClient | null = null;
let features: readonly string[] = [];
let rows: readonly (readonly number[])[] = [];
let seal: Promise<SecretSeal> | null = null;

async function loadSeal(): Promise<SecretSeal> {
  const wasmBinary = await (await fetch(SEAL_FILE, { credentials: 'same-origin' })).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', wasmBinary));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (hex !== SEAL_SHA256) throw new Error('seal.wasm is not the file that was reviewed');
  return (await initialize({ wasmBinary, locateFile: () => SEAL_FILE })) as unknown as SecretSeal;
}

function opened(): ScoringClient {
  if (client === null) throw new Error('no model is open');
  return client;
}

async function answer(ask: Ask): Promise<Answers[keyof Answers]> {
  switch (ask.op) {
    case 'open': {
      seal ??= loadSeal();
      client?.close();
      client = new ScoringClient(await seal, ask.descriptor);
      features = ask.descriptor.features.map(({ name }) => name);
      return client.keys() as Uint8Array<ArrayBuffer>;
    }
    case 'read': {
      const customers = readCustomers(await ask.file.text(), features);
      rows = customers.rows;
      return { names: customers.names };
    }
    case 'one':
      rows = [ask.row];
      return null;
    case 'encrypt': {
      const part = rows.slice(ask.from, ask.to);
      const frame =
        ask.mode === 'single'
          ? opened().encryptSingle(part[0] ?? [], ask.session)
          : opened().encryptBatch(part, ask.session);
      return frame as Uint8Array<ArrayBuffer>;
    }
    case 'decrypt':
      return opened().decrypt(ask.frame, ask.mode);
  }
}

addEventListener('message', ({ data: { id, ask } }: MessageEvent<{ id: number; ask: Ask }>) => {
  answer(ask).then(
    (given) => postMessage({ id, ok: true, answer: given } satisfies Said),
    (thrown: unknown) => {
      const { code, line, column } = thrown instanceof TableFault ? thrown : { code: 'failed', line: 0, column: '' };
      // An exception of WebAssembly's is no error and has no words; whatever it is, it stays in here.
      if (code === 'failed') console.warn(thrown instanceof Error ? thrown.message : 'SEAL refused');
      postMessage({ id, ok: false, code, line, column } satisfies Said);
    },
  );
});
