import { Problem } from '#kernel/problem.ts';

/** The vector of length 1 (L2) that points the same way. @throws Problem `engine_failed` for one that points nowhere */
export function normalised(values: Float32Array): Float32Array {
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  if (!(length > 0 && Number.isFinite(length)))
    throw new Problem('engine_failed', { message: 'The model made no vector of one of the inputs.' });
  return values.map((value) => value / length);
}
