import { openUpstreamModel } from '#engine/upstream/model.upstream.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { DEMO_TEXT, demoSpec, madeSpec, openLlama } from '../engine/demo.ts';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { engineContract } from './engine-contract.ts';

engineContract('llama', async () => {
  const loop = await madeSpec({ loop: true }, { parallel: 1, contextSize: 4096 });
  const engine = openLlama(await demoSpec());
  const endless = openLlama(loop.spec);
  return {
    engine,
    endless,
    text: DEMO_TEXT,
    close: async () => {
      await Promise.all([engine.close(), endless.close()]);
      await loop.remove();
    },
  };
});

engineContract('upstream', async () => {
  const short = await startFakeUpstream({ contextSize: 1024 });
  const loop = await startFakeUpstream({ loop: true });
  const deps = { log: silentLog, clock: systemClock };
  const spec = { id: 'up', urls: [short.url], model: 'm', contextSize: 1024, maxOutputTokens: 256, parallel: 2 };
  const engine = openUpstreamModel(spec, deps);
  const endless = openUpstreamModel({ ...spec, urls: [loop.url], maxOutputTokens: 1_000_000, parallel: 1 }, deps);
  return {
    engine,
    endless,
    text: 'The upstream says 你好, 🙂 and stops.',
    close: async () => {
      await Promise.all([engine.close(), endless.close()]);
      await Promise.all([short.close(), loop.close()]);
    },
  };
});
