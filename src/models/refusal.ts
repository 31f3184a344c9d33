import type { Engine } from '#engine/engine.ts';
import { engineFailed } from '#engine/refusal.ts';
import { Problem } from '#kernel/problem.ts';
import type { Room } from './memory-plan.ts';

/** Its time is over and the model is not there yet. */
export const stillLoading = (): Problem =>
  new Problem('model_loading', { message: 'The model has to be loaded first. Try again later.', retryAfter: 5 });

export const tooManyWait = (): Problem =>
  new Problem('overloaded', { message: 'Too many wait for this model. Try again later.', retryAfter: 10 });

/** No eviction could ever make room for it. */
export const tooLarge = (id: string, { ram, vram }: Room, budget: Room): Problem =>
  engineFailed(
    `Model '${id}' needs more memory than models may take here (${ram} + ${vram} of ${budget.ram} + ${budget.vram} bytes).`,
  );

/** A failed engine says itself why; where it says nothing, that. */
export const engineGone = (engine: Engine): Problem =>
  engineFailed(engine.status().quarantine ?? 'The model failed. An admin can load it again.');
