import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LegacyLogprobsWriter } from '#completions/legacy-logprobs.ts';

/** `null`: a part of a character. */
const told = (token: string | null, top: Record<string, number> = {}) => ({
  token: token ?? '\ufffd',
  logprob: -1,
  bytes: token === null ? null : [...Buffer.from(token)],
  top_logprobs: Object.entries(top).map(([text, logprob]) => ({ token: text, logprob, bytes: null })),
});

describe('probabilities in OpenAI’s older form', () => {
  it('are four lists; the chosen token is among the likeliest, which come in their order', () => {
    const writer = new LegacyLogprobsWriter();
    assert.deepEqual(
      writer.piece('The end', [told('The', { A: -0.1, The: -1 }), told(' end', { ' cat': -0.2, '.': -2 })]),
      {
        tokens: ['The', ' end'],
        token_logprobs: [-1, -1],
        top_logprobs: [
          { A: -0.1, The: -1 },
          { ' cat': -0.2, '.': -2, ' end': -1 },
        ],
        text_offset: [0, 3],
      },
    );
    assert.deepEqual(writer.piece('', []).tokens, []);
  });

  it('offsets count characters, through pieces, parts of characters and blanks that are not in the text', () => {
    const offsets = (...pieces: [string, (string | null)[]][]) => {
      const writer = new LegacyLogprobsWriter();
      return pieces.map(
        ([text, tokens]) =>
          writer.piece(
            text,
            tokens.map((token) => told(token)),
          ).text_offset,
      );
    };
    assert.deepEqual(offsets(['🙂 a', ['🙂', ' a']], [' b', [' b']]), [[0, 1], [3]]);
    assert.deepEqual(offsets(['x🙂🙂y', ['x', null, null, null, null, 'y']]), [[0, 1, 1, 1, 1, 3]]);
    assert.deepEqual(offsets(['Hello you', [' Hello', ' you']]), [[0, 5]]);
    // A stop sequence has cut the text.
    assert.deepEqual(offsets(['Hel', ['Hel', 'lo']]), [[0, 3]]);
  });
});
