import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCustomers, TableFault, writeScores } from '#scoring/customers.shared.ts';

const read = (text: string) => readCustomers(text, ['a', 'b']);
const faultOf = (text: string): string => {
  try {
    read(text);
  } catch (thrown) {
    assert.ok(thrown instanceof TableFault);
    return `${thrown.code} ${thrown.line} ${thrown.column}`.trim();
  }
  return 'none';
};

describe('a table of customers', () => {
  it('is read in any order of columns, with names, quotes, semicolons and a byte order mark', () => {
    const expected = {
      names: ['x', 'y "2", z'],
      rows: [
        [1, 2.5],
        [-3, 4e2],
      ],
    };
    assert.deepEqual(read('a,b,id\n1,2.5,x\n-3,4e2,"y ""2"", z"\n'), expected);
    assert.deepEqual(read('\ufeffid,b,a\r\nx,2.5,1\r\n"y ""2"", z",400,-3'), expected);
    assert.deepEqual(read('a;b\n1;2\n'), { names: ['1'], rows: [[1, 2]] });
    assert.deepEqual(read('a,b\n1,2\n\n3,4\n\n').rows, [
      [1, 2],
      [3, 4],
    ]);
  });

  it('says in which line and column it is wrong', () => {
    assert.equal(faultOf(''), 'empty 0');
    assert.equal(faultOf('a,b\n'), 'empty 0');
    assert.equal(faultOf('a,c\n1,2\n'), 'missing_column 1 b');
    assert.equal(faultOf('a,b\n1,2\n1\n'), 'cells 3');
    assert.equal(faultOf('a,b\n1,\n'), 'not_a_number 2 b');
    assert.equal(faultOf('a,b\n1,0x1f\n'), 'not_a_number 2 b');
    assert.equal(faultOf('a,b\n1,Infinity\n'), 'not_a_number 2 b');
    assert.equal(faultOf('a,b\n"1,2\n'), 'quotes 2');
    assert.equal(faultOf('a,b\n"1"x,2\n'), 'quotes 2');
  });

  it('of scores has the model’s decimals, and nothing that a spreadsheet would run', () => {
    const text = writeScores(['x', '=HYPERLINK("http://x")', '@y', 'a,b'], [0.5, 0.123456, 1, 0], 4);
    assert.equal(
      text,
      'customer,score\r\nx,0.5000\r\n"\'=HYPERLINK(""http://x"")",0.1235\r\n\'@y,1.0000\r\n"a,b",0.0000\r\n',
    );
  });
});
