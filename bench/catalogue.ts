/** What every file of a benchmark gives: nothing happens when it is imported. */
export type Benchmark = (args: readonly string[]) => Promise<void>;

export interface Listed {
  /** A sentence, with how long it takes on two quiet cores. */
  readonly about: string;
  /** Part of `all`. */
  readonly isFigure: boolean;
  readonly load: () => Promise<Benchmark>;
}

export const BENCHMARKS: Readonly<Record<string, Listed>> = {
  gateway: {
    about: 'chat completions with everything on, against nginx as a bare TLS proxy and against Portkey (5 minutes)',
    isFigure: true,
    load: async () => (await import('./gateway.ts')).runGateway,
  },
  engine: {
    about:
      'prefill, decode and first token at 1, 8 and 32 streams, against llama-server of the same release (6 minutes)',
    isFigure: true,
    load: async () => (await import('./engine.ts')).runEngine,
  },
  'engine-ttft': {
    about: 'first tokens, and a conversation of ten rounds with and without reuse, against llama-server (8 minutes)',
    isFigure: true,
    load: async () => (await import('./engine-ttft.ts')).runEngineTtft,
  },
  latency: {
    about: 'time that a request waits longer for passing the gateway, at 1,000 a second in an open loop (2 minutes)',
    isFigure: true,
    load: async () => (await import('./latency.ts')).runLatency,
  },
  replicas: {
    about: 'three gateways on one Postgres whose commits take 3 ms, against one of them (3 minutes)',
    isFigure: true,
    load: async () => (await import('./replicas.ts')).runReplicas,
  },
  start: {
    about: 'from `npm start` on a cold data folder to the first answer (1 minute)',
    isFigure: true,
    load: async () => (await import('./start.ts')).runStart,
  },
  stream: {
    about: '512 streams of 20 tokens a second at a time: what the gateway adds, loses (nothing) and costs (4 minutes)',
    isFigure: true,
    load: async () => (await import('./stream.ts')).runStream,
  },
  portal: {
    about: 'what the portal brings, first content and axe violations in a real browser, against Open WebUI (2 minutes)',
    isFigure: true,
    load: async () => (await import('./portal.ts')).runPortal,
  },
  scoring: {
    about: 'encrypted scoring: one customer, a batch, an MLP; server time, bytes, errors, plain arithmetic (1 minute)',
    isFigure: true,
    load: async () => (await import('./scoring.ts')).runScoring,
  },
  auditor: {
    about:
      'pages of an auditor’s search at a million records, each filter and together; what their indexes cost (5 minutes)',
    isFigure: true,
    load: async () => (await import('./auditor.ts')).runAuditor,
  },
  policy: {
    about: 'decisions with 10,000 rules and 1,000 users, against `enforce` of Casbin called plainly (1 minute)',
    isFigure: true,
    load: async () => (await import('./policy.ts')).runPolicy,
  },
  audit: {
    about: 'the log at a million records: durable appends against a raw insert, a proof, `audit verify` (5 minutes)',
    isFigure: true,
    load: async () => (await import('./audit.ts')).runAudit,
  },
  day: {
    about: 'a day of 500,000 requests by 1,000 users with quotas, a gateway killed in the middle, then `audit verify`',
    isFigure: true,
    load: async () => (await import('./day.ts')).runDay,
  },
  'engine-memory': {
    about: 'memory of gateway and model after 100 loads and 10,000 requests, against the first of them (8 minutes)',
    isFigure: true,
    load: async () => (await import('./engine-memory.ts')).runEngineMemory,
  },
  'login-timing': {
    about: 'how long a sign-in takes for a name that somebody has, and for one that nobody has (1 minute)',
    isFigure: false,
    load: async () => (await import('./login-timing.ts')).runLoginTiming,
  },
  'gguf-mutations': {
    about:
      '10,000 spoilt model files, or as many as are named: refused, loaded, or the end of a disposable process (10 minutes)',
    isFigure: false,
    load: async () => (await import('./gguf-mutations.ts')).runGgufMutations,
  },
};
