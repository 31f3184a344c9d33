// `npm run bench` lists the benchmarks, `npm run bench -- NAME` runs one.

/** What every file of a benchmark gives: nothing happens when it is imported. */
export type Benchmark = (args: readonly string[]) => Promise<void>;

const BENCHMARKS: Readonly<Record<string, { readonly about: string; readonly load: () => Promise<Benchmark> }>> = {
  gateway: {
    about: 'chat completions with everything on, against nginx as a bare TLS proxy and against Portkey (5 minutes)',
    load: async () => (await import('./gateway.ts')).runGateway,
  },
  scoring: {
    about: 'encrypted scoring: one customer, a batch, an MLP; server time, bytes, errors, plain arithmetic (1 minute)',
    load: async () => (await import('./scoring.ts')).runScoring,
  },
  'audit-verify': {
    about: '`audit verify` of a million records, or of as many as are named: records a second and memory (3 minutes)',
    load: async () => (await import('./audit-verify.ts')).runAuditVerify,
  },
  'gguf-mutations': {
    about:
      '10,000 spoilt model files, or as many as are named: refused, loaded, or the end of a disposable process (10 minutes)',
    load: async () => (await import('./gguf-mutations.ts')).runGgufMutations,
  },
};

const [name, ...rest] = process.argv.slice(2);
const chosen = name === undefined ? undefined : BENCHMARKS[name];
if (chosen !== undefined) {
  await (await chosen.load())(rest);
} else {
  if (name !== undefined) {
    process.stderr.write(`there is no benchmark '${name}'\n`);
    process.exitCode = 1;
  }
  for (const [known, { about }] of Object.entries(BENCHMARKS)) process.stdout.write(`${known.padEnd(12)}${about}\n`);
}
