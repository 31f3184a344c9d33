import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, link, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { OpenedFiles } from '#engine/llama/opened-files.files.ts';

describe('a model’s files, while they are open', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-opened-'));
  });
  after(() => rm(folder, { recursive: true }));

  const approved = async (name: string) => {
    const file = join(folder, name);
    await writeFile(file, 'weights');
    return { file, sha256: '0'.repeat(64) };
  };
  const looked = (opened: OpenedFiles): Promise<boolean> =>
    new Promise((resolve) => {
      let changes = 0;
      opened.look(
        () => void changes++,
        () => resolve(changes > 0),
      );
    });

  it('are the same under another name and other rights, and not where one was written to', async () => {
    const files = [await approved('model'), await approved('adapter')];
    const opened = new OpenedFiles(files);
    const [, adapter] = files;
    assert.ok(adapter);
    await link(adapter.file, join(folder, 'other'));
    await chmod(adapter.file, 0o640);
    assert.equal(await looked(opened), false);
    await writeFile(adapter.file, 'others of another length');
    assert.equal(await looked(opened), true);
    const asked = looked(opened);
    opened.close();
    opened.close();
    assert.equal(await asked, false);
  });

  it('are none where one can’t be opened, and a pipe holds up nobody', async () => {
    const there = await approved('there');
    assert.throws(() => new OpenedFiles([there, { ...there, file: join(folder, 'nowhere') }]), /ENOENT/);
    const pipe = join(folder, 'pipe');
    execFileSync('/usr/bin/env', ['mkfifo', pipe]);
    new OpenedFiles([{ ...there, file: pipe }]).close();
  });
});
