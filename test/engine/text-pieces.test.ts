import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { piecesOf } from '#engine/child/text-pieces.ts';

describe('a text in pieces', () => {
  it('is cut where a word ends: before a blank, else before another sign, else anywhere', () => {
    assert.deepEqual(piecesOf('a letter of credit', 10), ['a letter', ' of credit']);
    assert.deepEqual(piecesOf('one,two,three,four', 10), ['one,two', ',three', ',four']);
    assert.deepEqual(piecesOf('aaaaaaaaaaaa', 5), ['aaaaa', 'aaaaa', 'aa']);
    assert.deepEqual(piecesOf('it isn’t so', 7), ['it', ' isn’t', ' so']);
    assert.deepEqual(piecesOf('short', 10), ['short']);
  });

  it('never inside a character, and not where it may not', () => {
    assert.deepEqual(piecesOf('\u{1f642}\u{1f642}\u{1f642}', 3), ['\u{1f642}', '\u{1f642}', '\u{1f642}']);
    assert.deepEqual(
      piecesOf('aaa bbb ccc', 8, (at) => at !== 7),
      ['aaa', ' bbb ccc'],
    );
  });

  it('is the whole text again, in order, and its beginning is cut as before where more comes behind it', () => {
    const words = fc.array(
      fc.constantFrom('a', 'zz', ' ', '  ', '漢', '\u{1f642}', "'s", '.', '\n', '7', '<|im_end|>'),
    );
    fc.assert(
      fc.property(words, words, fc.integer({ min: 2, max: 12 }), (first, more, most) => {
        const text = first.join('');
        const pieces = piecesOf(text, most);
        assert.equal(pieces.join(''), text);
        assert.ok(pieces.every((piece) => piece.length <= most && piece.isWellFormed()));
        const longer = piecesOf(text + more.join(''), most);
        // All but the end, which may have waited for a better place.
        for (const [at, piece] of pieces.slice(0, -2).entries()) assert.equal(longer[at], piece);
      }),
      { seed: 1, numRuns: 2000 },
    );
  });
});
