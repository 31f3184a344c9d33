#!/usr/bin/env node
// The launcher: finds the Node that this release is made for and runs the program under it, hardened.
// Plain JavaScript that Node 18 parses, because it may be started by whatever Node is on the machine.
//
//   strongroom.mjs VERB …         runs src/main.ts
//   strongroom.mjs --node ARG …   runs that Node with ARG …, for the npm scripts

import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants as os } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WANTED_MAJOR = 24;
const WANTED_MINOR = 21;

/** No eval and no new Function; nothing that reaches for __proto__; no session tickets. */
const HARDENING = [
  '--disallow-code-generation-from-strings',
  '--disable-proto=throw',
  // TLS 1.3 without session tickets, which only OpenSSL's own configuration can say.
  `--openssl-config=${fileURLToPath(new URL('../certs/openssl.cnf', import.meta.url))}`,
];

/**
 * V8 takes sites whose objects outlived a few collections for sites of long-lived ones, and makes theirs in the old
 * generation from then on. Under load every site of a request is such a site: what an answer left behind there kept
 * the rest of it, and each young collection copied the answers of seconds instead of those under way. And it begins a
 * full collection when less than a young generation is left to the heap's limit, which with a heap as small as ours was
 * every second or two, with everybody waiting: the limit is five times what is in use, some 250 MB.
 */
const TUNING = ['--no-allocation-site-pretenuring', '--heap-growing-percent=400'];

/** The binary that npm installed for this platform, else the running Node where it is new enough, else undefined. */
function findNode() {
  const name = `node-${process.platform}-${process.arch}`;
  try {
    const binary = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin', 'node');
    accessSync(binary, constants.X_OK);
    return binary;
  } catch {
    const [major, minor] = process.versions.node.split('.').map(Number);
    const isNewEnough = major > WANTED_MAJOR || (major === WANTED_MAJOR && minor >= WANTED_MINOR);
    return isNewEnough ? process.execPath : undefined;
  }
}

/** Field `index` of a process as proc(5) counts them from 1; undefined where there is no /proc. */
function processField(pid, index) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, a name in parentheses, may hold blanks: count from behind it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[index - 3];
  } catch {
    return undefined;
  }
}

/**
 * The processes whose death means that nobody wants us any more. npm runs a script through a shell and, when it is
 * ended, ends that shell alone at best. A plain parent is not in this list: one may start a gateway and go.
 */
function guardians() {
  const shell = process.ppid;
  const npm = Number(processField(shell, 4));
  try {
    const titleOf = (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    const isNpm = npm > 1 && /^npm\b/.test(titleOf(npm)) && titleOf(shell).split('\0')[1] === '-c';
    return isNpm ? [shell, npm] : [];
  } catch {
    return [];
  }
}

/** A preload that ends the process (`whose` names it) together with any of `pids`. */
function lifeline(whose, pids) {
  if (pids.length === 0) return [];
  const url = new URL('./lifeline.mjs', import.meta.url);
  url.searchParams.set(whose, String(process.pid));
  url.searchParams.set('watch', pids.join(','));
  return [`--import=${url.href}`];
}

/** At a terminal, ^C reaches every process of the foreground group by itself; passing it on would make it two. */
function comesFromTerminal(signal) {
  if (signal !== 'SIGINT') return false;
  const foreground = processField('self', 8);
  return foreground === undefined ? Boolean(process.stdin.isTTY) : foreground === processField('self', 5);
}

function runAsChild(node, args) {
  const child = spawn(node, args, { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    process.on(signal, () => {
      if (!comesFromTerminal(signal)) child.kill(signal);
    });
  }
  child.once('error', (error) => fail(`could not run ${node}: ${error.message}`));
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    // Whoever waits for us shall see the same end. Some signals can't be taken back, hence the exit code after it.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + os.signals[signal]), 100);
  });
}

function fail(message) {
  process.stderr.write(`strongroom: ${message}\n`);
  process.exit(1);
}

function main() {
  const node = findNode();
  if (node === undefined) {
    const here = `this is ${process.version} on ${process.platform}-${process.arch}`;
    fail(`needs Node ${WANTED_MAJOR}.${WANTED_MINOR}. \`npm ci\` installs it (not with --omit=optional); ${here}`);
  }
  const [first, ...rest] = process.argv.slice(2);
  const program = fileURLToPath(new URL('./main.ts', import.meta.url));
  const args = first === '--node' ? rest : [program, ...process.argv.slice(2)];
  if (typeof process.execve === 'function') {
    try {
      // In place of this process: same id, no signal to pass on, nothing to wait for. Returns only by failing.
      process.execve(node, [node, ...HARDENING, ...TUNING, ...lifeline('process', guardians()), ...args]);
    } catch {
      // Not on this platform: run it as a child.
    }
  }
  runAsChild(node, [...HARDENING, ...TUNING, ...lifeline('childOf', [process.pid, ...guardians()]), ...args]);
}

main();
