import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Child, comesUp, freePort } from './child.ts';
import { MODEL, requestText } from './question.ts';

const PORTKEY = { name: '@portkey-ai/gateway', version: '1.15.2' };

/** Something that takes the same question and gives the mock's answer. */
export interface Rival {
  readonly name: string;
  readonly port: number;
  /** PEM of its authority; null for plain HTTP. */
  readonly ca: string | null;
  readonly requests: readonly string[];
  /** Its processes, for the CPU time. */
  readonly processes: readonly number[];
}

export interface RunningRival extends Rival {
  readonly version: string;
}

/** Why a rival is not in the table. */
export interface Absent {
  readonly absent: string;
}

/**
 * nginx with nothing but TLS 1.3 and a keep-alive upstream: the least that any gateway has to do. Same certificate and
 * cipher as ours, no log, a worker per core as Debian sets it up.
 */
export async function startNginx(
  stack: AsyncDisposableStack,
  folder: string,
  mockPort: number,
  tls: { readonly ca: string; readonly certFile: string; readonly keyFile: string },
): Promise<RunningRival | Absent> {
  const PATH = [process.env['PATH'], '/usr/sbin', '/usr/local/sbin'].filter(Boolean).join(delimiter);
  const env = { ...process.env, PATH };
  const version = await promisify(execFile)('nginx', ['-v'], { env }).then(
    ({ stderr }) => /nginx\/(\S+)/.exec(stderr)?.[1] ?? 'unknown',
    () => null,
  );
  if (version === null) return { absent: 'nginx is not installed (Debian: apt-get install nginx)' };
  const port = await freePort();
  const home = join(folder, 'nginx');
  await mkdir(home);
  const configFile = join(home, 'nginx.conf');
  await writeFile(configFile, nginxConfig(home, port, mockPort, tls));
  const child = Child.run(
    stack,
    'nginx',
    'nginx',
    ['-p', home, '-c', configFile, '-e', join(home, 'error.log')],
    folder,
    env,
  );
  try {
    await comesUp(child, () => canConnect(port), 10_000);
  } catch (error) {
    await child[Symbol.asyncDispose]();
    return { absent: `nginx ${(error as Error).message}` };
  }
  return {
    name: 'nginx',
    version,
    port,
    ca: tls.ca,
    requests: [requestText(`localhost:${port}`, {})],
    processes: [child.pid],
  };
}

const nginxConfig = (
  home: string,
  port: number,
  mockPort: number,
  { certFile, keyFile }: { readonly certFile: string; readonly keyFile: string },
): string => `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes auto;
pid ${home}/nginx.pid;
error_log ${home}/error.log error;
events { worker_connections 1024; }
http {
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  client_body_temp_path ${home}/body;
  proxy_temp_path ${home}/proxy;
  fastcgi_temp_path ${home}/fastcgi;
  uwsgi_temp_path ${home}/uwsgi;
  scgi_temp_path ${home}/scgi;
  upstream mock { server 127.0.0.1:${mockPort}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${certFile};
    ssl_certificate_key ${keyFile};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;
    ssl_session_tickets off;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`;

/**
 * Portkey's gateway from npm, under the same Node as ours: plain HTTP, no authentication, no quota, no audit. It is
 * installed outside the repository, without running anybody's install scripts.
 */
export async function startPortkey(
  stack: AsyncDisposableStack,
  folder: string,
  mockPort: number,
): Promise<RunningRival | Absent> {
  const home = join(folder, 'portkey');
  await mkdir(home);
  await writeFile(join(home, 'package.json'), '{"private": true}');
  const wanted = `${PORTKEY.name}@${PORTKEY.version}`;
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--save-exact', '--fetch-timeout=60000'];
  const npm = Child.run(stack, 'npm', 'npm', ['install', ...options, wanted], home, withoutNpm());
  if ((await npm.ended()) !== 0) return { absent: `npm could not install ${wanted}` };
  const port = await freePort();
  // It would listen on every address of the machine.
  const loopback = join(home, 'loopback.mjs');
  await writeFile(loopback, LOOPBACK_ONLY);
  const program = join(home, 'node_modules', PORTKEY.name, 'build', 'start-server.js');
  const args = [`--import=${loopback}`, program, `--port=${port}`, '--headless'];
  const child = Child.run(stack, 'portkey', process.execPath, args, folder, { ...process.env, NODE_ENV: 'production' });
  try {
    await comesUp(child, () => canConnect(port), 30_000);
  } catch (error) {
    await child[Symbol.asyncDispose]();
    return { absent: `Portkey ${(error as Error).message}` };
  }
  const headers = {
    authorization: `Bearer ${MODEL}`,
    'x-portkey-provider': 'openai',
    'x-portkey-custom-host': `http://127.0.0.1:${mockPort}/v1`,
  };
  return {
    name: 'portkey',
    version: PORTKEY.version,
    port,
    ca: null,
    requests: [requestText(`127.0.0.1:${port}`, headers)],
    processes: [child.pid],
  };
}

const LOOPBACK_ONLY = `import { Server } from 'node:net';
const { listen } = Server.prototype;
Server.prototype.listen = function (port, ...rest) {
  const options = typeof port === 'object' ? port : { port };
  return listen.call(this, { ...options, host: '127.0.0.1' }, rest.findLast((last) => typeof last === 'function'));
};
`;

/** Variables of the npm that runs us would steer the one that we run. */
const withoutNpm = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(config_(?!registry|cache|proxy|https)|package_|lifecycle_)/i.test(name),
    ),
  );

function canConnect(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
