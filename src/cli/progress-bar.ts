const WIDTH = 30;
const EVERY_MS = 100;

export interface ProgressBar {
  readonly show: (done: number, total: number) => void;
  end(): void;
}

/** One line on the terminal that is written over; nothing where standard error is none. */
export function progressBar(verb: string): ProgressBar {
  const { stderr } = process;
  const startedAt = performance.now();
  let shownAt = 0;
  return {
    show: (done, total) => {
      const now = performance.now();
      if (!stderr.isTTY || (now - shownAt < EVERY_MS && done < total)) return;
      shownAt = now;
      const part = total === 0 ? 1 : done / total;
      const bar = '█'.repeat(Math.round(part * WIDTH)).padEnd(WIDTH, '░');
      const rate = Math.round(done / Math.max(0.001, (now - startedAt) / 1000));
      stderr.write(`\r${bar} ${String(Math.floor(part * 100)).padStart(3)} %  ${done} ${verb}, ${rate} a second `);
    },
    end: () => {
      if (stderr.isTTY && shownAt > 0) stderr.write('\r\u001b[K');
    },
  };
}
