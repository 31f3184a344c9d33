import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { useDesk } from '../harness/portal-desk.ts';

/** axe-core's rules, in a real browser. */
const desk = useDesk();
const axe = await readFile(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

async function broken(): Promise<unknown> {
  await desk.page.evaluate(axe);
  return desk.page.evaluate(
    'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]))',
  );
}

for (const locale of ['en-GB', 'zh-CN']) {
  test(`no rule is broken where one signs in, asks and reads (${locale})`, async () => {
    await desk.open({ locale });
    await desk.page.goto(desk.base);
    await desk.page.locator('input[autocomplete="username"]').waitFor();
    assert.deepEqual(await broken(), [], 'sign-in');
    await desk.signIn('analyst');
    await desk.page.locator('.welcome').waitFor();
    assert.deepEqual(await broken(), [], 'nothing asked yet');
    const turn = await desk.ask('What is a liquidity coverage ratio?');
    await turn.locator('.answer-done').waitFor();
    assert.deepEqual(await broken(), [], 'an answer');
  });

  test(`no rule is broken where models are looked after (${locale})`, async () => {
    await desk.open({ locale });
    desk.server.estate.isAlone = false;
    await desk.signIn('admin');
    await desk.page.locator('.model-servers li').first().waitFor();
    assert.deepEqual(await broken(), []);
  });
}
