/** Loaded into a gateway before its own code: what is garbage there can be told from what is kept. Needs `--expose-gc`. */
process.on('SIGUSR2', () => globalThis.gc?.());
