/** What admins have set for a model, numbered. Every replica brings it about; nobody but an admin changes it. */
export interface DesiredState {
  readonly inService: boolean;
  /** Never evicted while in service. */
  readonly pinned: boolean;
  /** Grows with every change; 0 for a model as its configuration has it. */
  readonly number: number;
  /** The number of the last load that an admin asked for, also where it was in service already; 0: none. */
  readonly loaded: number;
}

/** What a model begins with; pinned where its configuration says so. */
export const AS_CONFIGURED: DesiredState = { inService: true, pinned: false, number: 0, loaded: 0 };

export interface DesiredStore {
  /** Models that an admin has set; the others are {@link AS_CONFIGURED}. */
  desired(): Promise<ReadonlyMap<string, DesiredState>>;
}

export const MODEL_VERBS = ['load', 'unload', 'pin', 'unpin'] as const;
export type ModelVerb = (typeof MODEL_VERBS)[number];

/** What a verb sets; what it does not name stays. */
export const changeOf = (verb: ModelVerb): { readonly in_service?: boolean; readonly pinned?: boolean } =>
  ({ load: { in_service: true }, unload: { in_service: false }, pin: { pinned: true }, unpin: { pinned: false } })[
    verb
  ];
