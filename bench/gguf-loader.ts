/**
 * Loads one file after another with the real engine, makes one token, and says what came of it. A file that ends this
 * process is the parent's to notice. For the benchmark of spoilt files only: the product loads one file a process.
 */
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  progressLogs: false,
  maxThreads: 1,
  logLevel: LlamaLogLevel.disabled,
});

async function attempt(modelPath: string): Promise<string> {
  const model = await llama.loadModel({ modelPath, checkTensors: true });
  try {
    const context = await model.createContext({
      sequences: 1,
      contextSize: 64,
      batchSize: 32,
      failedCreationRemedy: false,
    });
    const sequence = context.getSequence();
    for await (const _ of sequence.evaluate(model.tokenize('x'))) break;
    await context.dispose();
    return 'loaded';
  } finally {
    await model.dispose();
  }
}

process.on('message', (file: string) => {
  attempt(file).then(
    (said) => process.send?.(said),
    () => process.send?.('refused'),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
