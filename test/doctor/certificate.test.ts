import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type CertificateFacts, judgeCertificate } from '#doctor/certificate.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';
import { temporaryFolder } from '../harness/gateway.ts';

const DAY_MS = 86_400_000;

describe('the certificate', () => {
  let folder: string;
  let facts: CertificateFacts;
  let ca: string;
  before(async () => {
    folder = await temporaryFolder();
    const made = await ensureDevelopmentCertificate(folder, { clock: systemClock, log: silentLog });
    const [chain, key, authority] = await Promise.all(
      [made.certFile, made.keyFile, made.caFile].map((file) => readFile(file, 'utf8')),
    );
    facts = { file: made.certFile, chain: chain ?? '', key: key ?? null, host: 'localhost', now: Date.now() };
    ca = authority ?? '';
  });
  after(() => rm(folder, { recursive: true }));

  const judge = (change: Partial<CertificateFacts>) =>
    judgeCertificate({ ...facts, ...change }).map(({ check, status, todo }) => {
      assert.equal(todo === null, status === 'ok');
      return `${check} ${status}`;
    });
  const WELL = ['tls dates ok', 'tls chain ok', 'tls key ok'];

  it('is well alone, and with the one that issued it behind it', () => {
    assert.deepEqual(judge({}), WELL);
    assert.deepEqual(judge({ chain: `${facts.chain.trimEnd()}\n${ca}` }), WELL);
    assert.deepEqual(judge({ host: '127.0.0.1' }), WELL);
  });

  it('expires: long before, soon, and in the past; and is not valid yet', () => {
    const at = (days: number) => judge({ now: facts.now + days * DAY_MS })[0];
    assert.deepEqual(
      [at(300), at(340), at(366), at(-1)],
      ['tls dates ok', 'tls dates warn', 'tls dates fail', 'tls dates fail'],
    );
  });

  it('is for another name, or in the wrong order', () => {
    assert.deepEqual(judge({ host: 'llm.bank.example' }), ['tls dates ok', 'tls chain fail', 'tls key ok']);
    assert.deepEqual(judge({ chain: `${ca.trimEnd()}\n${facts.chain}` })[1], 'tls chain fail');
  });

  it('has no key, or another’s', async () => {
    const other = await ensureDevelopmentCertificate(`${folder}/other`, { clock: systemClock, log: silentLog });
    assert.equal(judge({ key: null })[2], 'tls key fail');
    assert.equal(judge({ key: await readFile(other.keyFile, 'utf8') })[2], 'tls key fail');
  });

  it('is none at all', () => {
    assert.deepEqual(judge({ chain: 'not a certificate' }), ['tls fail']);
    assert.deepEqual(judge({ chain: facts.chain.replace(/M/g, '!') }), ['tls fail']);
  });
});
