/** A file that nobody may load until an admin says so. */
export interface Quarantine {
  /** For the admin: what happened, without paths. */
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** The most that a model was measured to take, over all its lives. */
export interface MeasuredMemory {
  readonly ram: number;
  readonly vram: number;
}

/** Which bytes were opened, as the file system tells. */
export interface FileStamp {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

/**
 * What this gateway has learnt about model files, by digest; it outlives the process. Writing is best effort: what is
 * forgotten is found out again.
 */
export interface FileMemory {
  /** Whether these very bytes were found to have this digest, under the catalogue as it is. */
  isVerified(sha256: string, stamp: FileStamp): boolean;
  verified(sha256: string, stamp: FileStamp): void;
  /** Whether a disposable child has loaded the file and made a token. */
  isProbed(sha256: string): boolean;
  probed(sha256: string): void;
  quarantineOf(sha256: string): Quarantine | null;
  quarantine(sha256: string, reason: string): void;
  /** An admin wants it tried again. */
  pardon(sha256: string): void;
  /** What it took whenever it ran in this `shape`: with such a context, such layers. Null: it never did. */
  measuredOf(sha256: string, shape: string): MeasuredMemory | null;
  measured(sha256: string, shape: string, memory: MeasuredMemory): void;
}

/** Shapes that are kept of one file; the one that was not seen for longest goes. */
const SHAPES = 8;
/** Less than a hundredth more is not worth writing down. */
const WORTH_WRITING = 1.01;

/** What one digest's entry holds, as it is kept. */
export interface FileEntry {
  readonly stamp?: string;
  readonly probed?: boolean;
  readonly quarantine?: Quarantine;
  readonly measured?: Readonly<Record<string, MeasuredMemory>>;
}

/** @param catalogue digest of the catalogue: with another one nothing verified before counts */
export function fileMemory(
  entries: Map<string, FileEntry>,
  catalogue: string,
  now: () => number,
  changed: () => void,
): FileMemory {
  const spell = ({ device, inode, size, modifiedNs, changedNs }: FileStamp) =>
    [catalogue, device, inode, size, modifiedNs, changedNs].join(' ');
  const update = (sha256: string, change: FileEntry) => {
    entries.set(sha256, { ...entries.get(sha256), ...change });
    changed();
  };
  return {
    isVerified: (sha256, stamp) => entries.get(sha256)?.stamp === spell(stamp),
    verified: (sha256, stamp) => update(sha256, { stamp: spell(stamp) }),
    isProbed: (sha256) => entries.get(sha256)?.probed === true,
    probed: (sha256) => update(sha256, { probed: true }),
    quarantineOf: (sha256) => entries.get(sha256)?.quarantine ?? null,
    quarantine: (sha256, reason) => update(sha256, { probed: false, quarantine: { reason, since: now() } }),
    pardon(sha256) {
      const { quarantine, ...rest } = entries.get(sha256) ?? {};
      if (quarantine === undefined) return;
      entries.set(sha256, rest);
      changed();
    },
    measuredOf: (sha256, shape) => entries.get(sha256)?.measured?.[shape] ?? null,
    measured(sha256, shape, { ram, vram }) {
      const { [shape]: known, ...others } = entries.get(sha256)?.measured ?? {};
      if (known !== undefined && ram <= known.ram * WORTH_WRITING && vram <= known.vram * WORTH_WRITING) return;
      const most = { ram: Math.max(ram, known?.ram ?? 0), vram: Math.max(vram, known?.vram ?? 0) };
      const kept = Object.entries(others).slice(1 - SHAPES);
      update(sha256, { measured: { ...Object.fromEntries(kept), [shape]: most } });
    },
  };
}

/** For a life of the process only. */
export const forgetfulMemory = (): FileMemory =>
  fileMemory(
    new Map(),
    '',
    () => 0,
    () => undefined,
  );
