import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CharacterJoiner, StopFilter, TextStream } from '#engine/child/text-stream.ts';

/** A tokenizer whose tokens are bytes. */
const bytes = (tokens: readonly number[]): string => Buffer.from(tokens).toString('utf8');

const shownBy = (stream: TextStream, tokens: readonly number[]) => {
  const shown: string[] = [];
  for (const token of tokens) {
    const piece = stream.push(token);
    shown.push(piece.text);
    if (piece.stopped) return { shown, stopped: true };
  }
  const end = stream.end();
  return { shown: [...shown, end.text], stopped: end.stopped };
};

describe('CharacterJoiner', () => {
  it('never cuts a character, wherever the token borders lie', () => {
    const text = 'aé中🙂\u{10ffff}z';
    const joiner = new CharacterJoiner(bytes);
    const pieces = [...Buffer.from(text)].map((byte) => joiner.push(byte));
    assert.equal(pieces.join('') + joiner.flush(), text);
    assert.ok(pieces.every((piece) => piece.isWellFormed() && !piece.includes('\ufffd')));
  });

  it('nor where a token ends one character and begins the next: every way of cutting a text', () => {
    const text = 'a你好\u{1f642}é';
    const whole = Buffer.from(text);
    for (let cuts = 0; cuts < 2 ** (whole.length - 1); cuts++) {
      const pieces: number[][] = [[]];
      for (const [at, byte] of whole.entries()) {
        pieces.at(-1)?.push(byte);
        if ((cuts >> at) & 1) pieces.push([]);
      }
      const joiner = new CharacterJoiner((tokens) => bytes(tokens.flatMap((token) => pieces[token] ?? [])));
      const shown = pieces.map((_, token) => joiner.push(token)).join('');
      assert.equal(shown, text, JSON.stringify(pieces));
    }
  });

  it('shows what is whole of a token that begins another character', () => {
    const pieces = [[0x61, 0xe4], [0xbd, 0xa0, 0xe5], [0xa5], [0xbd]];
    const joiner = new CharacterJoiner((tokens) => bytes(tokens.flatMap((token) => pieces[token] ?? [])));
    assert.deepEqual(
      pieces.map((_, token) => joiner.push(token)),
      ['a', '你', '', '好'],
    );
  });

  it('gives up on bytes that are not UTF-8 instead of waiting for ever', () => {
    const joiner = new CharacterJoiner(bytes);
    const text = [0xff, 0xff, 0xff, 0xff, 0x41].map((byte) => joiner.push(byte)).join('');
    assert.equal(text, '\ufffdA');
  });

  it('shows bytes of the form of one character that are none as one, as a grammar has counted them', () => {
    for (const broken of [
      [0xed, 0xa0, 0x80],
      [0xe0, 0x82, 0x80],
      [0xf0, 0x80, 0x80, 0x80],
    ]) {
      const joiner = new CharacterJoiner(bytes);
      const text = [0x22, ...broken, 0x22].map((byte) => joiner.push(byte)).join('') + joiner.flush();
      assert.equal(text, '"\ufffd"');
    }
  });

  it('shows an unfinished character at the end', () => {
    const joiner = new CharacterJoiner(bytes);
    assert.equal(joiner.push(0xe4), '');
    assert.equal(joiner.flush(), '\ufffd');
    assert.equal(joiner.flush(), '');
  });

  it('tells the tokenizer what came before', () => {
    const seen: string[] = [];
    const joiner = new CharacterJoiner(
      (tokens, before) => {
        seen.push(`${before.join(',')}|${tokens.join(',')}`);
        return 'x';
      },
      [1, 2],
    );
    joiner.push(3);
    joiner.push(4);
    assert.deepEqual(seen, ['1,2|3', '1,2,3|4']);
  });
});

describe('StopFilter', () => {
  it('passes everything through without stop texts', () => {
    const filter = new StopFilter([]);
    assert.deepEqual(filter.push('abc'), { text: 'abc', stopped: false });
  });

  it('leaks no part of a stop text, for every way of cutting the text', () => {
    const text = 'one two STOP three';
    for (let size = 1; size <= text.length; size++) {
      const filter = new StopFilter(['STOP', 'nowhere']);
      let shown = '';
      let stopped = false;
      for (let at = 0; at < text.length && !stopped; at += size) {
        const piece = filter.push(text.slice(at, at + size));
        shown += piece.text;
        stopped = piece.stopped;
      }
      assert.equal(stopped, true);
      assert.equal(shown, 'one two ');
    }
  });

  it('holds back only what may still become a stop text, and lets it go when it does not', () => {
    const filter = new StopFilter(['##END##']);
    assert.deepEqual(filter.push('x##EN'), { text: 'x', stopped: false });
    assert.deepEqual(filter.push('##E'), { text: '##EN', stopped: false });
    assert.equal(filter.flush(), '##E');
    assert.equal(filter.flush(), '');
  });

  it('takes the first of several stop texts', () => {
    assert.deepEqual(new StopFilter(['cd', 'b']).push('abcd'), { text: 'a', stopped: true });
  });

  it('finds stop texts that repeat within themselves', () => {
    const filter = new StopFilter(['aab']);
    assert.deepEqual(filter.push('aa'), { text: '', stopped: false });
    assert.deepEqual(filter.push('aab'), { text: 'aa', stopped: true });
  });
});

describe('TextStream', () => {
  it('stops at a text made of characters that were split over tokens', () => {
    const stream = new TextStream(bytes, ['中止']);
    const { shown, stopped } = shownBy(stream, [...Buffer.from('好的中止 nicht')]);
    assert.equal(stopped, true);
    assert.equal(shown.join(''), '好的');
  });

  it('yields everything when the stop text never comes', () => {
    const text = 'almost ST, almost STO';
    const { shown, stopped } = shownBy(new TextStream(bytes, ['STOP']), [...Buffer.from(text)]);
    assert.equal(stopped, false);
    assert.equal(shown.join(''), text);
  });
});
