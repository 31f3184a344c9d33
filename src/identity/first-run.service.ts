import { SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { newUserId } from '#kernel/id.ts';
import { FIRST_RUN_ROLES, type FirstRunAccount, readablePassword } from './first-run.ts';
import type { AccountStore, PasswordHasher, Sealer } from './identity.ts';

export interface FirstRunDeps {
  readonly store: Pick<AccountStore, 'countAccounts'>;
  readonly recorder: Recorder;
  readonly hasher: PasswordHasher;
  readonly sealer: Sealer;
  readonly newTotpSecret: () => string;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Called before the accounts exist: a password that nobody was told would be lost with a crash in between. */
  readonly tell: (accounts: readonly FirstRunAccount[]) => Promise<void>;
}

/** One account per role in an empty embedded database. Returns null where there are accounts already. */
export async function makeFirstAccounts(deps: FirstRunDeps): Promise<readonly FirstRunAccount[] | null> {
  if ((await deps.store.countAccounts()) > 0) return null;
  const accounts = FIRST_RUN_ROLES.map(({ username, role }): FirstRunAccount => {
    const password = readablePassword(deps.randomBytes(128));
    return role === 'admin'
      ? { username, password, role, totpSecret: deps.newTotpSecret() }
      : { username, password, role };
  });
  await deps.tell(accounts);
  for (const account of accounts) await make(account, deps);
  return accounts;
}

async function make({ username, password, role, totpSecret }: FirstRunAccount, deps: FirstRunDeps): Promise<void> {
  const id = newUserId();
  const attributes = FIRST_RUN_ROLES.find((candidate) => candidate.role === role);
  await deps.recorder.change(
    'account.create',
    {
      id,
      username,
      password_hash: await deps.hasher.hash(password),
      roles: [role],
      department: attributes?.department ?? '',
      clearance: attributes?.clearance ?? 0,
      totp_secret:
        totpSecret === undefined ? null : Buffer.from(deps.sealer.seal(totpSecret, `totp ${id}`)).toString('hex'),
    },
    {
      kind: 'change',
      actor: SYSTEM,
      action: 'account.create',
      resource: `account:${id}`,
      outcome: 'completed',
      request: null,
      facts: { role, first_run: true, second_factor: totpSecret !== undefined },
    },
  );
}
