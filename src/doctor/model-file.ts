/** A file that an admin approved by its digest, as it lies there. */
export interface FileFacts {
  /** What it is of its model: `file`, `adapter`, `draft model`. */
  readonly what: string;
  /** Null: it can't be opened. */
  readonly size: number | null;
  /** Whether everybody may read it, which a sandbox with a user id of its own needs. */
  readonly readable: boolean;
  /** Digest of its bytes, where it was read now or known from before; null: it is read at the first load. */
  readonly digest: string | null;
  readonly wanted: string;
  /** Why its header is refused, or does not go with the model's; null: it is sound. */
  readonly headerFault: string | null;
}

export type Fault = readonly [says: string, todo: string];

export function fileFault({ what, ...facts }: FileFacts, sandbox: string): Fault | null {
  const { size, readable, digest, wanted, headerFault } = facts;
  if (size === null) return [`its ${what} can not be read`, 'put it there, and let the gateway’s user read it'];
  if (sandbox === 'uid' && !readable)
    return [`its ${what} is not readable for the sandbox’s user`, 'chmod o+r the file, or install bubblewrap'];
  if (digest !== null && digest !== wanted)
    return [
      `its ${what} is another one than approved: ${digest}`,
      'approve that digest in the configuration, or get the right file',
    ];
  if (headerFault !== null) return [`its ${what} is malformed: ${headerFault}`, 'get a sound file'];
  return null;
}
