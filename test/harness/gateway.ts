import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateSync } from 'otplib';
import { Config } from '#config/schema.ts';
import type { FirstRunAccount } from '#identity/first-run.ts';
import type { Log, LogFields } from '#kernel/log.ts';
import { type DemoModelOptions, demoModel } from '../../models/demo/make-demo-model.ts';
import { type Gateway, openGateway } from '../../src/gateway.ts';
import { DEMO_FILE, sha256, TEMPLATE_FILE } from '../engine/demo.ts';
import { GatewayDatabase } from './gateway-database.ts';
import { type Answer, HttpsClient } from './https-client.ts';

export type Role = 'analyst' | 'auditor' | 'admin';
type Headers = Readonly<Record<string, string>>;

export interface LogLine extends LogFields {
  readonly level: string;
  readonly message: string;
}

/** Somebody who has signed in. */
export interface Session {
  readonly token: string;
  readonly subject: string;
  /** As `Authorization: Bearer`. */
  readonly bearer: Headers;
  /** As the browser sends it. */
  readonly cookie: Headers;
}

/** A record as the auditor reads it: the columns, and what the hashed bytes say of the event. */
export interface AuditRecord {
  readonly seq: number;
  readonly kind: string;
  readonly action: string;
  readonly outcome: string;
  readonly actor: string;
  readonly resource: string;
  readonly request_id: string | null;
  readonly event: Readonly<Record<string, unknown>>;
}

export type SmallConfig = Partial<Record<keyof Config, unknown>>;

/** A configuration of the test's own: ports of the system's choice, and only the models that are named. */
export function testConfig(dataDir: string, change: SmallConfig = {}): Config {
  return Config.parse({
    dataDir,
    metrics: { listen: '127.0.0.1:0' },
    database: { commitTimeoutMs: 1000 },
    scoring: { enabled: false },
    ...change,
    http: { port: 0, drainSeconds: 1, ...(change.http as object | undefined) },
  });
}

const LOCAL = { chatTemplateFile: TEMPLATE_FILE, contextSize: 1024, parallel: 2, threads: 1, gpu: 'cpu' } as const;

/** The committed model, small. */
export const demoEntry = async (change: object = {}) => ({
  ...LOCAL,
  file: DEMO_FILE,
  sha256: sha256(await readFile(DEMO_FILE)),
  ...change,
});

/** A model that is made for the test, in its data folder. */
export async function madeEntry(folder: string, name: string, made: DemoModelOptions, change: object = {}) {
  const [file, bytes] = [join(folder, `${name}.gguf`), demoModel(made)];
  await writeFile(file, bytes);
  return { ...LOCAL, file, sha256: sha256(bytes), ...change };
}

/** A model that turns texts into vectors. */
export const embeddingEntry = (folder: string, change: object = {}) =>
  madeEntry(folder, 'vectors', { pooling: 'mean' }, { embedding: true, chatTemplateFile: undefined, ...change });

export const upstreamEntry = (url: string, change: object = {}) => ({ upstream: { url, model: 'fake' }, ...change });

export const temporaryFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'strongroom-gateway-'));

/** Waits for what must come; the runner's own limit ends a test in which it does not. */
export async function eventually<T>(look: () => Promise<T | null | undefined | false> | T | null | undefined | false) {
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    await sleep(25);
  }
}

/** A whole gateway in this process, over TLS, with an embedded Postgres of its own. */
export class TestGateway implements AsyncDisposable {
  readonly dataDir: string;
  readonly log: LogLine[] = [];
  authority: Buffer = Buffer.alloc(0);
  #gateway: Gateway | null = null;
  #client: HttpsClient | null = null;
  #database: GatewayDatabase | null = null;
  #accounts: readonly FirstRunAccount[] = [];
  #ownsFolder = true;

  private constructor(dataDir: string) {
    this.dataDir = dataDir;
  }

  /** `config` may be made with the folder that the gateway will have. */
  static async open(config: SmallConfig | ((dataDir: string) => Promise<SmallConfig>) = {}): Promise<TestGateway> {
    const test = new TestGateway(await temporaryFolder());
    await test.#open(typeof config === 'function' ? await config(test.dataDir) : config);
    return test;
  }

  /** A second replica on the same database and with the same keys. */
  async replica(config: SmallConfig = {}): Promise<TestGateway> {
    const test = new TestGateway(this.dataDir);
    test.#ownsFolder = false;
    await test.#open(config);
    return test;
  }

  async #open(config: SmallConfig): Promise<void> {
    this.#gateway = await openGateway({
      config: testConfig(this.dataDir, config),
      base: this.dataDir,
      log: recordingLog(this.log),
    });
    await this.#gateway.modelsSettled;
    const { accounts } = JSON.parse(await readFile(join(this.dataDir, 'first-run.json'), 'utf8'));
    this.#accounts = accounts as FirstRunAccount[];
    const ca = await readFile(join(this.dataDir, 'tls', 'ca.pem')).catch(() => Buffer.alloc(0));
    this.trust(ca);
    this.#database = await GatewayDatabase.of(this.dataDir);
  }

  /** A new client that trusts this authority; all connections of the old one break. */
  trust(ca: Buffer): void {
    this.#client?.[Symbol.dispose]();
    this.authority = ca;
    this.#client = new HttpsClient(this.port, ca);
  }

  get gateway(): Gateway {
    return present(this.#gateway);
  }
  get url(): string {
    return this.gateway.url;
  }
  get port(): number {
    return Number(new URL(this.url).port);
  }
  get client(): HttpsClient {
    return present(this.#client);
  }
  get database(): GatewayDatabase {
    return present(this.#database);
  }

  account(role: Role): FirstRunAccount {
    return present(this.#accounts.find((account) => account.role === role));
  }

  /** The admin's code of now. The test's clock moves on faster than 30 s a code: the last step is forgotten. */
  async code(): Promise<string> {
    await this.database.sql("UPDATE account SET totp_last_step = 0 WHERE 'admin' = ANY (roles)");
    return this.sameCode();
  }

  /** The code of now, used or not. */
  sameCode(): string {
    return generateSync({ secret: present(this.account('admin').totpSecret) });
  }

  async signIn(role: Role, password = this.account(role).password): Promise<Session> {
    const code = role === 'admin' ? { code: await this.code() } : {};
    const answer = await this.client.post('/auth/login', { username: this.account(role).username, password, ...code });
    if (answer.status !== 200) throw new Error(`sign-in of ${role}: ${answer.status} ${answer.text}`);
    return sessionOf(answer);
  }

  /** The records of a request, oldest first, as the database has them. */
  async records(requestId: string): Promise<AuditRecord[]> {
    const rows = await this.database.sql<{ record: string; seq: string } & Omit<AuditRecord, 'seq' | 'event'>>(
      'SELECT * FROM entry WHERE request_id = $1 ORDER BY seq',
      [requestId],
    );
    return rows.map((row) => ({ ...row, seq: Number(row.seq), event: JSON.parse(row.record).event }));
  }

  /** Waits for the first: a refusal is recorded behind its answer. */
  recorded(requestId: string): Promise<AuditRecord[]> {
    return eventually(async () => {
      const records = await this.records(requestId);
      return records.length > 0 && records;
    });
  }

  /** Waits for the outcome of a request that was admitted. */
  outcome(requestId: string): Promise<AuditRecord> {
    return eventually(async () => (await this.records(requestId)).find(({ kind }) => kind === 'outcome'));
  }

  /** Answers that are still under way when a test looks: the shipped policy holds analysts to 2,048 tokens. */
  async allowLongAnswers(): Promise<void> {
    await this.database.sql(
      `INSERT INTO policy_version (version, model, policy, sha256, created_by, created_at)
       SELECT 2, model, replace(policy, '1 to 2048', '1 to 1000000'), sha256, created_by, now() FROM policy_version`,
    );
  }

  /** Today's use, as the caller is told. */
  async usage(session: Session): Promise<{ requests: { used: number }; tokens: { used: number } }> {
    return (await this.client.get('/v1/usage', session.bearer)).json();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client?.[Symbol.dispose]();
    if (this.#database !== null && this.#ownsFolder && this.#database.isUp) this.#database.thaw();
    await this.#gateway?.[Symbol.asyncDispose]();
    if (!this.#ownsFolder) return;
    await this.#database?.remove();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

export function sessionOf(answer: Answer): Session {
  const { token, user } = answer.json<{ token: string; user: { id: string } }>();
  const [cookie = ''] = answer.headers['set-cookie'] ?? [];
  return {
    token,
    subject: user.id,
    bearer: { authorization: `Bearer ${token}` },
    cookie: { cookie: cookie.split(';', 1)[0] ?? '' },
  };
}

function recordingLog(lines: LogLine[]): Log {
  const write = (level: string) => (message: string, fields?: LogFields) => {
    lines.push({ level, message, ...fields });
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('there is no such thing yet');
  return value;
}
