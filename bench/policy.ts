import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Enforcer, newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import { compilePolicy } from '#access/access.casbin.ts';
import { AccessControl } from '#access/access.service.ts';
import { questionOf } from '#access/access.ts';
import { isMet, parseWhen } from '#access/condition.ts';
import { ContextClasses, type Site } from '#access/context-class.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import { circumstances, spreadOf, spreadText, table, writeResult } from './report.ts';

const USERS = 1000;
const RULES = 10_000;
const MODELS = 40;
const ADDRESS = '10.1.2.3';
const SITE: Site = { timeZone: 'Asia/Shanghai', networkZones: { branch: ['10.1.0.0/16'], guest: ['10.9.0.0/16'] } };
const MODEL = readFileSync(new URL('../policies/model.conf', import.meta.url), 'utf8');
const WHENS = [
  '',
  'network in branch',
  'time in Mon-Sun 00:00-24:00 and strength at least password',
  'certification in credit-risk and network not in guest',
];
const ATTRIBUTES = { classification: 1, owner: 'treasury' };

/** Ten rules a user: nine allow a model each, some under conditions, one denies one of them. */
function policyText(): string {
  const lines: string[] = [];
  for (let user = 0; user < USERS; user++)
    for (let n = 0; n < RULES / USERS; n++) {
      const denies = n === 9;
      const model = (user + (denies ? 0 : n)) % MODELS;
      lines.push(
        `p, r-${user}-${n}, user:usr_${user}, model, m${model}, infer, *, 1, ${denies ? 'deny' : 'allow'}, ${WHENS[n % WHENS.length]}, x`,
      );
    }
  return lines.join('\n');
}

const principal = (user: number): Principal => ({
  subject: `usr_${user}`,
  username: `user${user}`,
  roles: ['analyst'],
  attributes: {
    department: `d${user % 12}`,
    branch: `b${user % 30}`,
    clearance: 2,
    certifications: user % 2 === 0 ? ['credit-risk'] : [],
  },
  credential: { kind: 'session', ref: `s${user}` },
  hasTotp: true,
  hasPasskey: false,
  restricted: false,
  strength: 'second-factor',
  scope: null,
  epoch: 1,
  expiresAt: null,
});

interface Question {
  readonly who: Principal;
  readonly model: { readonly type: 'model'; readonly id: string };
}

/** Every user asks every model that a rule of his names, and as many that none does; in an order that repeats nothing near. */
function questions(): Question[] {
  const people = Array.from({ length: USERS }, (_, user) => principal(user));
  const all = people.flatMap((who, user) =>
    Array.from({ length: 18 }, (_, n) => ({ who, model: { type: 'model', id: `m${(user + n) % MODELS}` } as const })),
  );
  return all.map((_, at) => all[(at * 7919) % all.length] as Question);
}

/** Casbin as its manual shows it: a model, a policy, the functions of the matcher, and `enforce`. */
async function plain(policy: string): Promise<(question: Question) => Promise<boolean>> {
  const enforcer: Enforcer = await newEnforcer(newModelFromString(MODEL), new StringAdapter(policy));
  const conditions = new Map(WHENS.map((when) => [when, parseWhen(when, new Set(Object.keys(SITE.networkZones)))]));
  const classes = new ContextClasses([...conditions.values()].flat(), SITE);
  await enforcer.addFunction('holds', (subjects: string, name: string) => subjects.includes(`|${name}|`));
  await enforcer.addFunction('same', (asked: string, ruled: string) => asked === ruled);
  await enforcer.addFunction('covers', (ruled: string, asked: string) => ruled === '*' || ruled === asked);
  await enforcer.addFunction('atLeast', (has: number, needs: string | number) => has >= Number(needs));
  await enforcer.addFunction(
    'met',
    (when: string, effect: string, _branch: string, certifications: string, ...rest: unknown[]) =>
      (conditions.get(when) ?? []).every((condition) =>
        isMet(
          condition.context === null
            ? condition.test({ certifications: certifications.split('|') } as never)
            : classes.truthOf(condition, String(rest.at(-1))),
          effect,
        ),
      ),
  );
  return ({ who, model }) => {
    const its = classes.classOf({ at: Date.now(), address: ADDRESS, strength: who.strength });
    const q = questionOf(who, 'infer', model, ATTRIBUTES);
    const request = [q.subjects, q.department, q.clearance, q.branch, q.certifications, q.type, q.id, q.classification];
    return enforcer.enforce(...request, q.owner, q.action, its);
  };
}

async function ours(policy: string): Promise<AccessControl> {
  const access = new AccessControl({
    currentPolicy: async () => ({ version: 1, model: MODEL, policy, sha256: '' }),
    compile: (text) => compilePolicy(text, SITE),
    attributesOf: () => ATTRIBUTES,
    now: systemClock.now,
    log: silentLog,
  });
  await access.load();
  return access;
}

const ROUND_MS = 1500;

/** Decisions a second for one round; `decide` may be asked in any number between two looks at the clock. */
async function rate(asked: readonly Question[], from: number, batch: number, decide: (question: Question) => unknown) {
  const started = performance.now();
  let [done, elapsed] = [0, 0];
  while (elapsed < ROUND_MS) {
    for (let n = 0; n < batch; n++) await decide(asked[(from + done++) % asked.length] as Question);
    elapsed = performance.now() - started;
  }
  return (done / elapsed) * 1000;
}

/** The same for what answers at once: awaiting it would measure the promise. */
function rateSync(asked: readonly Question[], decide: (question: Question) => unknown): number {
  const started = performance.now();
  let [done, elapsed] = [0, 0];
  while (elapsed < ROUND_MS) {
    for (let n = 0; n < 1000; n++) decide(asked[done++ % asked.length] as Question);
    elapsed = performance.now() - started;
  }
  return (done / elapsed) * 1000;
}

/** Decisions with 10,000 rules and 1,000 users: the pipeline's path against Casbin's `enforce` called plainly. */
export async function runPolicy(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { rounds: { type: 'string', default: '7' } } });
  const rounds = Number(values.rounds);
  const [policy, asked] = [policyText(), questions()];
  const loading = performance.now();
  const access = await ours(policy);
  const loadMs = performance.now() - loading;
  const enforce = await plain(policy);
  const decide = ({ who, model }: Question) => access.decide(who, 'infer', model, ADDRESS);

  // What was never asked before, one by one: what the first request after a change of policy waits for.
  const first = asked.map((question) => {
    const started = performance.now();
    decide(question);
    return performance.now() - started;
  });
  const slowest = first.toSorted((a, b) => a - b);
  const at = (share: number): number => slowest[Math.floor(slowest.length * share)] ?? Number.NaN;

  let allowed = 0;
  for (const question of asked.slice(0, 200)) {
    const [mine, theirs] = [decide(question).allowed, await enforce(question)];
    if (mine !== theirs) throw new Error(`${question.who.subject} ${question.model.id}: ${mine}, plainly ${theirs}`);
    allowed += Number(mine);
  }
  if (allowed < 20 || allowed > 180) throw new Error(`${allowed} of 200 are allowed: that is no comparison`);

  const figures = { pipeline: [] as number[], first: [] as number[], plain: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const parts: (() => Promise<void>)[] = [
      async () => void figures.pipeline.push(rateSync(asked, decide)),
      // A new version each round: every question is one that it has not been asked.
      async () => {
        const fresh = await ours(policy);
        const started = performance.now();
        for (const { who, model } of asked) fresh.decide(who, 'infer', model, ADDRESS);
        figures.first.push((asked.length / (performance.now() - started)) * 1000);
      },
      async () => void figures.plain.push(await rate(asked, round * 131, 1, enforce)),
    ];
    for (let n = 0; n < parts.length; n++) await parts[(n + round) % parts.length]?.();
  }
  const ratios = (values: readonly number[]) =>
    spreadOf(values.map((value, n) => value / (figures.plain[n] ?? Number.NaN)));
  const result = {
    ...circumstances({ casbin: '5.51.1' }),
    rules: RULES,
    users: USERS,
    questions: asked.length,
    rounds,
    decisionsPerSecond: {
      pipeline: spreadOf(figures.pipeline),
      first: spreadOf(figures.first),
      plain: spreadOf(figures.plain),
    },
    ratio: { pipeline: ratios(figures.pipeline), first: ratios(figures.first) },
    firstAskedUs: { median: at(0.5) * 1000, p99: at(0.99) * 1000, max: (slowest.at(-1) ?? Number.NaN) * 1000 },
    loadMs,
  };
  const row = (name: string, key: 'pipeline' | 'first' | 'plain'): string[] => [
    name,
    spreadText(result.decisionsPerSecond[key], 0),
    key === 'plain' ? '' : spreadText(result.ratio[key], 0),
  ];
  process.stdout.write(
    `${table(['', 'decisions/s', 'x plain'], [row('pipeline', 'pipeline'), row('never asked before', 'first'), row('enforce, plainly', 'plain')])}\n` +
      `asked for the first time: ${result.firstAskedUs.median.toFixed(0)} us, p99 ${result.firstAskedUs.p99.toFixed(0)} us, at most ${result.firstAskedUs.max.toFixed(0)} us; the policy loads in ${loadMs.toFixed(0)} ms\n`,
  );
  if (rounds >= 5) process.stdout.write(`${await writeResult('policy', result)}\n`);
}
