import type { Role } from '#kernel/principal.ts';
import type { Asker, PolicyText } from './access.ts';

/** A version without its text. */
export interface PolicyVersion {
  readonly version: number;
  readonly sha256: string;
  /** Account, or `system`. */
  readonly createdBy: string;
  readonly createdAt: string;
  readonly reason: string;
  /** The version whose content it brought back; null for an import. */
  readonly restored: number | null;
}

/** An active account, as far as policy looks. */
export interface PolicyAccount {
  readonly id: string;
  readonly username: string;
  readonly roles: readonly Role[];
  readonly attributes: Asker['attributes'];
  /** Whether it can show a second factor: who can't can change nothing. */
  readonly hasFactor: boolean;
}

/** Where policy versions are kept. A change of them goes through the recorder. */
export interface PolicyStore {
  /** Newest first. */
  list(): Promise<readonly PolicyVersion[]>;
  find(version: number): Promise<PolicyText | null>;
  current(): Promise<PolicyText | null>;
  /** Accounts that are not disabled. */
  accounts(): Promise<readonly PolicyAccount[]>;
}

/** What `policies/` holds, or the folder of an import. */
export interface PolicyFolder {
  readonly model: string;
  readonly policy: string;
}

/** The digest by which two policies are the same. */
export const policyDigest = ({ model, policy }: PolicyFolder, hash: (text: string) => string): string =>
  hash(`${model}\0${policy}`);
