// Preloaded by the launcher (`--import`): ends this process gracefully when one that it was started through has died.
// Its address says whom it is for and whom to watch: `?process=PID` or `?childOf=PID`, and `watch=PID,PID`. The
// processes that we fork inherit the option; for them it does nothing, since their end is decided by their parent.

import { readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const INTERVAL_MS = 500;

const address = new URL(import.meta.url).searchParams;

/** A process id together with the moment of its start, since ids are used again; undefined when it has ended. */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return process.platform === 'linux' ? undefined : answersSignal(pid);
  }
}

function answersSignal(pid) {
  try {
    process.kill(pid, 0);
    return 'running';
  } catch (error) {
    return error.code === 'EPERM' ? 'running' : undefined;
  }
}

const isMeant = address.get('process') === String(process.pid) || address.get('childOf') === String(process.ppid);

if (isMainThread && isMeant) {
  const watched = (address.get('watch') ?? '').split(',').map((pid) => ({ pid: Number(pid), start: startOf(pid) }));
  const timer = setInterval(() => {
    if (watched.every(({ pid, start }) => start !== undefined && startOf(pid) === start)) return;
    // Once only: a second signal commonly means "at once".
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, INTERVAL_MS);
  timer.unref();
}
