/** The main of the thread in which answers of other servers are held against schemas. */
import { parentPort } from 'node:worker_threads';
import { fitsSchema } from './schema-check.vm.ts';

parentPort?.on('message', ({ id, text, schema }: { id: number; text: string; schema: Record<string, unknown> }) => {
  parentPort?.postMessage({ id, fits: fitsSchema(text, schema) });
});
