import { ConfigFaults, loadConfig } from '#config/load.ts';
import { type Finding, fail } from '#doctor/finding.ts';
import { type Examination, examine } from '#gateway-doctor.ts';
import type { Invocation } from './verbs.ts';

/** Looks at everything that a gateway needs on this machine. Fails where it would not run, or not safely. */
export async function doctor({ json }: Invocation): Promise<number> {
  const { findings, sandbox } = await found();
  const isWell = findings.every(({ status }) => status !== 'fail');
  if (json) process.stdout.write(`${JSON.stringify({ ok: isWell, findings, sandbox: sandboxOf(sandbox) })}\n`);
  else for (const finding of findings) process.stdout.write(lineOf(finding));
  return isWell ? 0 : 1;
}

/** A configuration that can't be read is the first finding and the only one. */
async function found(): Promise<Examination> {
  try {
    const { config, base } = loadConfig();
    return await examine(config, base);
  } catch (error) {
    if (!(error instanceof ConfigFaults)) throw error;
    const findings = error.faults.map((fault) => fail('config', fault, 'mend it in strongroom.yaml'));
    return { findings, sandbox: null };
  }
}

const sandboxOf = (sandbox: Examination['sandbox']) =>
  sandbox === null ? null : { level: sandbox.level, network: sandbox.network, faults: sandbox.faults };

const lineOf = ({ check, status, says, todo }: Finding): string =>
  `${status.padEnd(4)}  ${check.padEnd(16)}${says}\n${todo === null ? '' : `      ${''.padEnd(16)}-> ${todo}\n`}`;
