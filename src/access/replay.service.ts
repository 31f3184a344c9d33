import { Problem } from '#kernel/problem.ts';
import type { PolicyEngine, PolicyText } from './access.ts';
import { Replay, type ReplayRecord } from './replay.ts';

export interface ReplayDeps {
  readonly current: () => Promise<PolicyText | null>;
  readonly compile: (text: PolicyText) => Promise<PolicyEngine>;
  /**
   * Intents and denials of the last `days` before the seq `cursor`, newest first, at most `limit`. MUST run under the
   * auditor's role, whose seven days nothing widens.
   */
  readonly page: (days: number, cursor: string | null, limit: number) => Promise<readonly ReplayRecord[]>;
}

const PAGE = 1000;
/** Records that one call looks at; whoever wants more asks again from the cursor. */
const PAGES = 20;
const MOST_EXAMPLES = 100;

/** Asks a draft the questions that the policy of then has answered. */
export class Replays {
  readonly #deps: ReplayDeps;

  constructor(deps: ReplayDeps) {
    this.#deps = deps;
  }

  /** @throws Problem `policy_invalid` for a draft that does not load */
  async replay(
    draft: { readonly model?: string | undefined; readonly policy: string },
    days: number,
    cursor: string | null,
  ): Promise<{ readonly replay: Replay; readonly next: string | null }> {
    const replay = new Replay(await this.#compile(draft), MOST_EXAMPLES);
    let next = cursor;
    for (let page = 0; page < PAGES; page++) {
      const records = await this.#deps.page(days, next, PAGE);
      for (const record of records) replay.take(record);
      next = records.at(-1)?.seq ?? null;
      if (records.length < PAGE) return { replay, next: null };
    }
    return { replay, next };
  }

  async #compile({ model, policy }: { readonly model?: string | undefined; readonly policy: string }) {
    const current = await this.#deps.current();
    const text = { version: 0, model: model ?? current?.model ?? '', policy, sha256: '' };
    try {
      return await this.#deps.compile(text);
    } catch (cause) {
      throw new Problem('policy_invalid', { message: `The draft does not load: ${(cause as Error).message}` }, cause);
    }
  }
}
