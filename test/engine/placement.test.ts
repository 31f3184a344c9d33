import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { estimateFile } from '#engine/gguf-file.files.ts';
import type { MemoryEstimate } from '#engine/memory-estimate.ts';
import type { LlamaModelSpec } from '#engine/model-spec.ts';
import { place } from '#engine/placement.ts';
import { demoSpec } from './demo.ts';

const MIB = 2 ** 20;
/** What a process takes on a GPU before anything of the model is there. */
const FIXED = 512 * MIB;

/** Ten equal layers. */
const MODEL: MemoryEstimate = {
  weights: 1200 * MIB,
  context: 300 * MIB,
  compute: 88 * MIB,
  child: 160 * MIB,
  layers: Array.from({ length: 10 }, () => ({ weights: 100 * MIB, context: 30 * MIB })),
  output: 100 * MIB,
  beside: 0,
};
const WHOLE = FIXED + (88 + 10 * 130 + 100) * MIB;

describe('layers by the budget of the GPUs', () => {
  it('all of them where they fit, and then nearly nothing is left on the machine', () => {
    assert.deepEqual(place(MODEL, WHOLE, 'auto'), {
      onGpu: 11,
      of: 11,
      needs: { ram: (160 + 1200 + 300 + 88 - 1400) * MIB, vram: WHOLE },
    });
  });

  it('as many as fit, and the rest is counted on the machine', () => {
    const { onGpu, needs } = place(MODEL, FIXED + (88 + 4 * 130 + 129) * MIB, 'auto');
    assert.equal(onGpu, 4);
    assert.deepEqual(needs, { ram: (160 + 1200 + 300 + 88 - 520) * MIB, vram: FIXED + (88 + 520) * MIB });
  });

  it('none where not even one fits, or where there is no GPU for it: then it takes nothing there', () => {
    const alone = { onGpu: 0, of: 11, needs: { ram: (160 + 1200 + 300 + 88) * MIB, vram: 0 } };
    assert.deepEqual(place(MODEL, FIXED, 'auto'), alone);
    assert.deepEqual(place(MODEL, null, 'auto'), alone);
    assert.deepEqual(place(MODEL, WHOLE, 0), alone);
  });

  it('all of them, or those that were asked for, where the GPU’s memory is the machine’s: it is counted there', () => {
    const ram = (160 + 1200 + 300 + 88) * MIB + FIXED;
    assert.deepEqual(place(MODEL, 'shared', 'auto'), { onGpu: 11, of: 11, needs: { ram, vram: 0 } });
    assert.deepEqual(place(MODEL, 'shared', 4), { onGpu: 4, of: 11, needs: { ram, vram: 0 } });
    assert.equal(place(MODEL, 'shared', 0).onGpu, 0);
  });

  it('with the first of them goes what stands beside the model, and it is counted once', () => {
    const model = { ...MODEL, weights: MODEL.weights + 50 * MIB, beside: 50 * MIB };
    const { onGpu, needs } = place(model, WHOLE + 50 * MIB, 'auto');
    assert.deepEqual([onGpu, needs.vram, needs.ram], [11, WHOLE + 50 * MIB, place(MODEL, WHOLE, 'auto').needs.ram]);
    assert.ok(place(model, WHOLE + 49 * MIB, 'auto').onGpu < 11);
    assert.equal(place(model, null, 'auto').needs.ram, (160 + 1250 + 300 + 88) * MIB);
  });

  it('what was asked for is what is counted, beyond the budget too: then the model is refused and not cut down', () => {
    const { onGpu, needs } = place(MODEL, 600 * MIB, 7);
    assert.deepEqual([onGpu, needs.vram], [7, FIXED + (88 + 7 * 130) * MIB]);
    assert.equal(place(MODEL, WHOLE, 99).onGpu, 11);
  });

  it('never more than the budget, one more would be too much, and nothing is lost on the way', () => {
    const sizes = fc.record({ weights: fc.nat(1e9), context: fc.nat(1e8) });
    fc.assert(
      fc.property(
        fc.array(sizes, { minLength: 1, maxLength: 40 }),
        fc.nat(1e9),
        fc.nat(4e9),
        (layers, output, vram) => {
          const total = (of: 'weights' | 'context') => layers.reduce((sum, layer) => sum + layer[of], 0);
          const model = { ...MODEL, layers, output, weights: total('weights') + output, context: total('context') };
          const { onGpu, of, needs } = place(model, vram, 'auto');
          assert.ok(onGpu === 0 ? needs.vram === 0 : needs.vram <= vram);
          const fixed = onGpu === 0 ? 0 : FIXED + model.compute;
          assert.equal(needs.ram + needs.vram - fixed, model.child + model.weights + model.context + model.compute);
          if (onGpu < of) assert.ok(place(model, vram, onGpu + 1).needs.vram > vram);
        },
      ),
    );
  });
});

describe('the estimate of a file', () => {
  it('has a draft model and an adapter beside it, with what the draft model’s own context takes', async () => {
    const at = (name: string) => fileURLToPath(new URL(`../../models/demo/${name}.gguf`, import.meta.url));
    const beside = async (change: Partial<LlamaModelSpec>) =>
      (await estimateFile(await demoSpec(change)))?.beside ?? -1;
    const file = (name: string) => ({ file: at(name), sha256: 'a'.repeat(64) });
    assert.equal(await beside({}), 0);
    const adapter = await beside({ adapter: { ...file('formal-letters'), name: 'letters', scale: 1 } });
    assert.equal(adapter, (await stat(at('formal-letters'))).size);
    assert.ok((await beside({ draft: { ...file('draft'), tokens: 4 } })) > (await stat(at('draft'))).size / 2);
  });

  it('divides into its layers and the rest', async () => {
    const found = await estimateFile(await demoSpec());
    assert.ok(found !== null);
    const { layers, weights, context, output } = found;
    const of = (what: 'weights' | 'context') => layers.reduce((sum, layer) => sum + layer[what], 0);
    assert.ok(layers.length > 0 && layers.every((layer) => layer.weights > 0));
    assert.equal(of('context'), context);
    assert.ok(of('weights') > 0 && of('weights') < weights);
    assert.ok(output > 0 && of('weights') + output <= weights);
  });
});
