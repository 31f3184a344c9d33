import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { PolicyFolder } from '#access/policies.ts';
import { checkPolicy } from '#access/policy-check.ts';
import type { Fault } from '#access/policy-text.ts';
import { loadConfig } from '#config/load.ts';
import { readPolicyFolder, SHIPPED_POLICIES, surroundingsOf } from '#gateway-access.ts';

export interface Draft extends PolicyFolder {
  readonly folder: string;
}

/** A folder with model.conf and policy.csv, or the policy.csv of one; without a name the shipped one. */
export async function readDraft(given: string | undefined): Promise<Draft> {
  const path = given ?? SHIPPED_POLICIES;
  const isFolder = (await stat(path)).isDirectory();
  if (!isFolder && !path.endsWith('policy.csv')) throw new Error(`${path}: give a folder, or its policy.csv`);
  const folder = isFolder ? path : dirname(path);
  return { ...(await readPolicyFolder(folder)), folder };
}

/** Checked against the zones and models of this machine's configuration. */
export const faultsOf = (draft: PolicyFolder): Fault[] => checkPolicy(draft, surroundingsOf(loadConfig().config));

export function sayFaults(faults: readonly Fault[]): void {
  for (const { severity, line, rule, message } of faults) {
    const place = [line === null ? '' : `line ${line}`, rule ?? ''].filter(Boolean).join(', ');
    process.stdout.write(`${severity}: ${place}${place === '' ? '' : ': '}${message}\n`);
  }
}
