import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { opensThought, ThoughtReader, thinksBy } from '#engine/thought-reader.ts';

function read(isOpen: boolean, pieces: readonly string[]) {
  const reader = new ThoughtReader(isOpen);
  const all = [...pieces.map((piece) => reader.push(piece)), reader.end()];
  return {
    thought: all.map(({ thought }) => thought).join(''),
    text: all.map(({ text }) => text).join(''),
    skipped: reader.skipped,
  };
}

describe('an answer of a model that thinks aloud', () => {
  for (const [what, isOpen, said, thought, text] of [
    [
      'a thought that the prompt has opened',
      true,
      'Let me see.\nYes.\n</think>\n\nIt is.',
      'Let me see.\nYes.',
      'It is.',
    ],
    ['one that it begins with', false, '\n<think>\nHm < 3\n</think>\n\nA </b>', 'Hm < 3', 'A </b>'],
    ['an empty one', false, '<think>\n\n</think>\n\nNo.', '', 'No.'],
    ['none', false, '<thin ice', '', '<thin ice'],
    ['none, and blanks', false, ' \n hello \n', '', ' \n hello \n'],
    ['one that has no end', true, 'and then </thi', 'and then </thi', ''],
    ['one that ends the answer', true, 'done</think> \n', 'done', ''],
    ['tags in the middle of the text are text', false, 'Say <think>x</think>.', '', 'Say <think>x</think>.'],
    ['a second one is text', true, 'a</think>b<think>c</think>', 'a', 'b<think>c</think>'],
    ['what only begins like one', false, ' <th', '', ' <th'],
    ['nothing', true, '', '', ''],
  ] as const)
    it(`${what}, however it is cut`, () => {
      for (let size = 1; size <= said.length + 1; size++) {
        const pieces = said.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
        const found = read(isOpen, pieces);
        assert.deepEqual([found.thought, found.text], [thought, text], `in pieces of ${size}`);
        if (text !== '' && thought !== '') assert.equal(found.skipped, said.length - text.length);
      }
    });

  it('shows each piece of a thought at once but for what may be its end', () => {
    const reader = new ThoughtReader(true);
    assert.deepEqual(reader.push('one'), { text: '', thought: 'one' });
    assert.deepEqual(reader.push(' two </'), { text: '', thought: ' two' });
    assert.deepEqual([reader.push('b>').thought, reader.phase], [' </b>', 'thinking']);
    assert.deepEqual([reader.push('</think>'), reader.phase], [{ text: '', thought: '' }, 'between']);
    assert.deepEqual([reader.push('\nSo'), reader.phase], [{ text: 'So', thought: '' }, 'answering']);
  });

  it('templates and prompts say so', () => {
    assert.ok(thinksBy("{{ content.split('</think>')[-1] }}") && !thinksBy('{{ message.content }}'));
    assert.ok(opensThought('assistant\n<think>\n') && !opensThought('<think>\n\n</think>\n\n'));
  });
});
