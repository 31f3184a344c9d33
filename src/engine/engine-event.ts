/** What an engine did that nobody asked for and somebody must know of. */
export type EngineEvent =
  | { readonly type: 'crashed'; readonly model: string; readonly how: string; readonly deaths: number }
  | { readonly type: 'quarantined'; readonly model: string; readonly digest: string; readonly how: string }
  /** No server is left that answers for an upstream model; one does again. */
  | { readonly type: 'unavailable' | 'available'; readonly model: string; readonly how: string };
