import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Problem } from '#kernel/problem.ts';
import type { ScoreModelDocument } from './score-model.ts';
import type { SelfTestAnswer } from './self-test.ts';

const CHILD = fileURLToPath(new URL('./self-test.seal.ts', import.meta.url));
const LONGEST_MS = 60_000;

/** Runs a model's test vectors under encryption, in a process of their own. @throws Problem `scoring_unavailable` */
export function selfTest(model: ScoreModelDocument): Promise<SelfTestAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<SelfTestAnswer>();
  const child = fork(CHILD, {
    env: { MALLOC_ARENA_MAX: '1' },
    execArgv: ['--disallow-code-generation-from-strings', '--disable-proto=throw'],
    serialization: 'json',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  const failed = () =>
    reject(
      new Problem('scoring_unavailable', { message: 'The self-test of the model did not come to its end.' }, complaint),
    );
  const late = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
  child.once('message', (answer) => resolve(answer as SelfTestAnswer));
  child.once('error', failed);
  child.once('exit', () => {
    clearTimeout(late);
    failed();
  });
  child.send(model);
  return promise;
}
