import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DatabaseFacts, judgeDatabase } from '#doctor/database.ts';
import { type BackendFacts, type GpuFacts, judgeGpu, judgeModel, type ModelFacts } from '#doctor/engine.ts';
import type { Finding } from '#doctor/finding.ts';
import { judgeDisk, judgeLimits, judgeNode, judgePort, judgeSandbox, judgeSecrets } from '#doctor/machine.ts';
import type { FileFacts } from '#doctor/model-file.ts';

const FLAGS = ['--disallow-code-generation-from-strings', '--disable-proto=throw', '--openssl-config=/x/openssl.cnf'];
const GIB = 2 ** 30;

/** Every finding that is not well says what to do, and none that is well does. */
const statuses = (...findings: Finding[]): string[] => {
  for (const { status, todo } of findings) assert.equal(todo === null, status === 'ok');
  return findings.map(({ check, status }) => `${check} ${status}`);
};

describe('the machine', () => {
  it('Node must be new enough and have its flags', () => {
    assert.deepEqual(statuses(judgeNode('v24.21.0', FLAGS), judgeNode('v26.0.1', FLAGS)), ['node ok', 'node ok']);
    assert.deepEqual(statuses(judgeNode('v24.20.9', FLAGS), judgeNode('v20.20.2', FLAGS)), ['node fail', 'node fail']);
    for (const flag of FLAGS) {
      const finding = judgeNode(
        'v24.21.0',
        FLAGS.filter((other) => other !== flag),
      );
      assert.equal(finding.status, 'fail', flag);
      assert.match(finding.says, new RegExp(flag.split('=')[0] as string));
    }
  });

  it('open files, as the kernel writes them', () => {
    const limits = (files: string) =>
      `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             96365                96365                processes \nMax open files            ${files.padEnd(21)}1048576              files     \n`;
    assert.deepEqual(
      ['1024', '4096', 'unlimited'].map((files) => judgeLimits(limits(files)).status),
      ['warn', 'ok', 'ok'],
    );
    assert.match(judgeLimits(limits('1024')).says, /^1024 open files, 96365 processes/);
    assert.equal(judgeLimits(null).status, 'ok');
  });

  it('a disk that is nearly full, and one that soon will be', () => {
    const at = (free: number) => judgeDisk('/data', { free: free * GIB, total: 100 * GIB }).status;
    assert.deepEqual([at(0.9), at(1), at(9.9), at(10)], ['fail', 'warn', 'warn', 'ok']);
  });

  it('secrets that others may read, or that are not there, one by one', () => {
    const secret = (file: string, mode: number | null, isMade = false) => ({
      what: `secret ${file}`,
      file,
      mode,
      isMade,
    });
    assert.deepEqual(statuses(...judgeSecrets([secret('a', 0o100600), secret('b', 0o100400)])), ['keys ok']);
    assert.deepEqual(statuses(...judgeSecrets([secret('a', null, true)])), ['keys ok']);
    const bad = judgeSecrets([secret('a', 0o100640), secret('b', 0o100604), secret('c', null), secret('d', 0o100600)]);
    assert.deepEqual(statuses(...bad), ['keys fail', 'keys fail', 'keys fail']);
    assert.deepEqual(
      bad.map(({ todo }) => todo?.slice(0, 11)),
      ['chmod 600 a', 'chmod 600 b', '`strongroom'],
    );
  });

  it('ports: free, ours, somebody else’s, not for us; metrics for everybody', () => {
    const port = { name: 'https', address: '127.0.0.1:8443', isOpen: false } as const;
    assert.deepEqual(
      (['free', 'ours', 'taken', 'forbidden'] as const).map((state) => judgePort({ ...port, state }).status),
      ['ok', 'ok', 'fail', 'fail'],
    );
    const open = { name: 'metrics', address: '0.0.0.0:9464', isOpen: true, state: 'free' } as const;
    assert.deepEqual(statuses(judgePort(open)), ['port metrics warn']);
    assert.deepEqual(statuses(judgePort({ ...open, isOpen: false })), ['port metrics ok']);
  });

  it('a sandbox that is none', () => {
    assert.deepEqual(statuses(judgeSandbox('full', 'none', []), judgeSandbox('process', 'open', ['full: no'])), [
      'sandbox ok',
      'sandbox warn',
    ]);
  });
});

describe('the database', () => {
  const SOUND: DatabaseFacts = {
    version: '18.1',
    embedded: false,
    remote: false,
    encrypted: false,
    separation: 'full',
    pending: 0,
    fsync: 'on',
    fullPageWrites: 'on',
    synchronousCommit: 'on',
    aheadMs: -3,
    exactMs: 2,
  };
  const bad = (change: Partial<DatabaseFacts>): string[] =>
    statuses(...judgeDatabase({ ...SOUND, ...change })).filter((line) => !line.endsWith(' ok'));

  it('is well when everything is', () => assert.deepEqual(bad({}), []));

  it('each fault is a line of its own', () => {
    assert.deepEqual(bad({ remote: true }), ['database fail']);
    assert.deepEqual(bad({ remote: true, encrypted: true }), []);
    assert.deepEqual(bad({ pending: 2 }), ['database fail']);
    assert.deepEqual(bad({ pending: 2, embedded: true }), ['database warn']);
    for (const off of [{ fsync: 'off' }, { fullPageWrites: 'off' }, { synchronousCommit: 'off' }])
      assert.deepEqual(bad(off), ['durability fail']);
    assert.deepEqual(bad({ separation: 'reduced' }), ['db_separation warn']);
  });

  it('its clock: what the way there took is not held against it', () => {
    assert.deepEqual(bad({ aheadMs: 2500 }), ['clock warn']);
    assert.deepEqual(bad({ aheadMs: -45_000 }), ['clock fail']);
    assert.deepEqual(bad({ aheadMs: 2500, exactMs: 600 }), []);
  });
});

describe('models', () => {
  const FILE: FileFacts = { what: 'file', size: GIB, readable: true, digest: 'a', wanted: 'a', headerFault: null };
  const SOUND: ModelFacts = {
    ...{ id: 'm', files: [FILE] },
    ...{ template: 't', approvedTemplate: null, needs: { ram: GIB, vram: 0 }, measured: null },
    ...{ onGpu: 0, layers: 33, quarantine: null },
  };
  const judge = (change: Partial<ModelFacts>, sandbox = 'full') =>
    judgeModel({ ...SOUND, ...change }, { ram: 2 * GIB, vram: 4 * GIB }, sandbox);
  const file = (change: Partial<FileFacts>) => ({ files: [{ ...FILE, ...change }] });

  it('says what it takes, measured before estimated, and where it lies', () => {
    assert.match(judge({}).says, /digest is right.*estimated 1\.0 GiB$/);
    assert.match(judge(file({ digest: null })).says, /checked at its first load/);
    const gpu = { needs: { ram: GIB, vram: GIB }, measured: { ram: GIB / 2, vram: 2 * GIB }, onGpu: 33 };
    assert.match(judge(gpu).says, /measured 512\.0 MiB and 2\.0 GiB of GPU, 33 of 33 layers on the GPU$/);
  });

  for (const [what, change, says] of [
    ['is not there', file({ size: null }), /can not be read/],
    ['is another one', file({ digest: 'b' }), /another one than approved: b/],
    ['is malformed', file({ headerFault: 'block_count: 0' }), /malformed: block_count: 0/],
    ['has a template that nobody approved', { approvedTemplate: 'u' }, /is t, not the approved one/],
    ['is too large', { needs: { ram: 3 * GIB, vram: 0 } }, /needs 3\.0 GiB of 2\.0 GiB and 4\.0 GiB of GPU/],
    ['asks for too many layers', { needs: { ram: 0, vram: 5 * GIB } }, /5\.0 GiB of GPU/],
  ] as const)
    it(`fails where its file ${what}`, () => {
      assert.deepEqual(statuses(judge(change)), ['model m fail']);
      assert.match(judge(change).says, says);
    });

  it('warns of a quarantine; a user id of its own must be able to read the file', () => {
    assert.deepEqual(statuses(judge({ quarantine: 'it died' })), ['model m warn']);
    assert.deepEqual(statuses(judge(file({ readable: false }))), ['model m ok']);
    assert.deepEqual(statuses(judge(file({ readable: false }), 'uid')), ['model m fail']);
  });

  it('what stands beside a model is looked at as the model is, and named', () => {
    const beside = (change: Partial<FileFacts>) =>
      judge({ files: [FILE, { ...FILE, what: 'adapter', size: GIB / 4, ...change }] });
    assert.match(beside({}).says, /^1\.0 GiB, digest is right, adapter 256\.0 MiB, digest is right, template t/);
    for (const [change, says] of [
      [{ size: null }, 'its adapter can not be read'],
      [{ digest: 'b' }, 'its adapter is another one than approved: b'],
      [{ headerFault: 'not an adapter' }, 'its adapter is malformed: not an adapter'],
    ] as const) {
      assert.deepEqual(statuses(beside(change)), ['model m fail']);
      assert.equal(beside(change).says, says);
    }
  });
});

describe('the GPU', () => {
  const whole: BackendFacts = { isInstalled: true, missing: [] };
  const none: BackendFacts = { isInstalled: false, missing: ['libcudart.so.13'] };
  const gpus = [{ name: 'NVIDIA H200', driver: '580.95.05', totalBytes: 141 * GIB }];
  const HOST: GpuFacts = {
    ...{
      gpus,
      hasDriver: true,
      hasUvm: true,
      cuda: [whole, none],
      vulkan: none,
      wanted: ['auto'],
      blind: [],
      keepsKernels: true,
    },
  };
  const judge = (change: Partial<GpuFacts>) => judgeGpu({ ...HOST, ...change });

  it('is well with either of the two releases of CUDA', () => {
    assert.deepEqual(statuses(...judge({})), ['gpu ok', 'cuda ok']);
    assert.deepEqual(statuses(...judge({ cuda: [none, whole], wanted: ['cuda'] })), ['gpu ok', 'cuda ok']);
    assert.match(judge({})[0]?.says ?? '', /NVIDIA H200, 141\.0 GiB, driver 580\.95\.05/);
  });

  it('what is missing is named: a failure for a model that needs it, a warning for one that does without', () => {
    const bare = { isInstalled: true, missing: ['libcudart.so.13', 'libcublas.so.13'] };
    const [, auto] = judge({ cuda: [bare, none] });
    assert.deepEqual([auto?.status, auto?.says], ['warn', 'libcudart.so.13, libcublas.so.13 not found']);
    assert.deepEqual(statuses(...judge({ cuda: [bare, none], wanted: ['cuda'] })), ['gpu ok', 'cuda fail']);
    assert.match(judge({ cuda: [none, none] })[1]?.todo ?? '', /@node-llama-cpp\/linux-x64-cuda/);
  });

  it('a machine without one is well, unless a model asks for it', () => {
    const alone = { gpus: [], hasDriver: false, cuda: [none, none], keepsKernels: null };
    assert.deepEqual(statuses(...judge(alone)), ['gpu ok']);
    assert.deepEqual(statuses(...judge({ ...alone, wanted: ['cpu', 'cuda'] })), ['gpu fail', 'cuda fail']);
    assert.deepEqual(statuses(...judge({ ...alone, wanted: ['vulkan'] })), ['gpu ok', 'vulkan fail']);
    assert.deepEqual(statuses(...judge({ ...alone, wanted: ['vulkan'], vulkan: whole })), ['gpu ok', 'vulkan ok']);
  });

  it('without the file that CUDA starts by is told apart from one without libraries', () => {
    assert.deepEqual(statuses(...judge({ hasUvm: false })), ['gpu ok', 'cuda warn']);
    const [, cuda] = judge({ hasUvm: false, wanted: ['cuda'] });
    assert.deepEqual([cuda?.status, /nvidia-modprobe -u/.test(cuda?.todo ?? '')], ['fail', true]);
    assert.deepEqual(statuses(...judge({ hasUvm: false, wanted: ['cpu'] })), ['gpu ok']);
  });

  it('of another maker has no need of CUDA; what the engine finds says by what', () => {
    const amd = [{ name: 'AMD Radeon PRO W7900', driver: 'vulkan', totalBytes: 48 * GIB }];
    const host = { gpus: amd, hasDriver: false, cuda: [none, none], vulkan: whole };
    assert.deepEqual(statuses(...judge(host)), ['gpu ok']);
    assert.equal(judge(host)[0]?.says, 'AMD Radeon PRO W7900, 48.0 GiB, found by vulkan');
    const [one] = gpus;
    const said = (kind: 'sliced' | 'shared') => judge({ gpus: one === undefined ? [] : [{ ...one, kind }] })[0]?.says;
    assert.match(said('sliced') ?? '', /cut into slices/);
    assert.match(said('shared') ?? '', /of the machine's own/);
  });

  it('a model that asks for one by name and finds none is named, whatever else is there', () => {
    const [finding] = judge({ wanted: ['vulkan', 'auto'], vulkan: whole, blind: ['small'] });
    assert.deepEqual([finding?.check, finding?.status], ['gpu', 'fail']);
    assert.match(finding?.says ?? '', /no GPU is found for small; there is NVIDIA H200/);
  });

  it('warns where kernels are compiled at every load', () => {
    assert.deepEqual(statuses(...judge({ keepsKernels: false })), ['gpu ok', 'cuda ok', 'kernels warn']);
  });
});
