import { writeFileSync } from 'node:fs';

/**
 * Loaded into a gateway before its own code: asked to (SIGUSR2) it collects its garbage and leaves in its folder what its heap
 * still holds, in bytes. Needs `--expose-gc`.
 */
process.on('SIGUSR2', () => {
  globalThis.gc?.();
  writeFileSync('heap-in-use', String(process.memoryUsage().heapUsed));
});
