import type { Recorder } from '#audit/recorder.ts';
import { Problem } from '#kernel/problem.ts';
import type { InstallationDesk, Installer } from './installation.ts';
import { modelFaults, type ScoreModelDocument } from './score-model.ts';
import type { InstalledModel, ScoreModelStore } from './score-models.ts';
import { MAX_ERROR, type SelfTestAnswer } from './self-test.ts';

export interface InstallationDeps {
  readonly store: ScoreModelStore;
  readonly recorder: Recorder;
  readonly selfTest: (model: ScoreModelDocument) => Promise<SelfTestAnswer>;
  readonly sha256: (text: string) => string;
  /** Makes this replica follow at once; the others do within a second. */
  readonly refresh: () => Promise<void>;
}

export class Installation implements InstallationDesk {
  readonly #deps: InstallationDeps;

  constructor(deps: InstallationDeps) {
    this.#deps = deps;
  }

  async install(
    document: ScoreModelDocument,
    classification: number,
    by: Installer,
  ): Promise<SelfTestAnswer & { readonly sha256: string }> {
    const faults = modelFaults(document);
    if (faults.length > 0) throw unfit(faults.join('; '));
    const tested = await this.#deps.selfTest(document);
    if (!(tested.worst <= MAX_ERROR)) {
      throw unfit(`encrypted, a test vector is off by ${tested.worst.toExponential(1)}; at most ${MAX_ERROR} may be`);
    }
    const text = JSON.stringify(document);
    const sha256 = this.#deps.sha256(text);
    const { id, version, kind, params, features } = document;
    const change = { id, version, sha256, document: text, classification, by: by.subject };
    const facts = {
      score_model_version: version,
      score_model_sha256: sha256,
      kind,
      params,
      features: features.length,
      classification,
    };
    await this.#change('score_model.install', change, id, by, facts);
    return { ...tested, sha256 };
  }

  async activate(id: string, version: number | null, by: Installer): Promise<void> {
    await this.#change('score_model.activate', { id, version }, id, by, { score_model_version: version });
  }

  all(): Promise<readonly InstalledModel[]> {
    return this.#deps.store.all();
  }

  async #change(
    op: string,
    change: Readonly<Record<string, unknown>>,
    id: string,
    { subject, request }: Installer,
    facts: Readonly<Record<string, string | number | null>>,
  ): Promise<void> {
    const { verdict, code } = await this.#deps.recorder.change(op, change, {
      kind: 'change',
      actor: subject,
      action: op,
      resource: `score_model:${id}`,
      outcome: 'completed',
      request,
      facts,
    });
    if (verdict === 'refused') {
      throw code === 'not_found'
        ? new Problem('not_found', { message: 'This version was never installed.' })
        : new Problem('conflict', {
            message: 'This version or a newer one has been installed; give the document a higher version.',
          });
    }
    await this.#deps.refresh();
  }
}

const unfit = (why: string): Problem =>
  new Problem('invalid_parameter', { message: `The model can not be installed: ${why}.`, param: 'document' });
