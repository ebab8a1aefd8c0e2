import { describe, expect, it } from 'vitest';
import { bar, byteCount, figure } from './figures';
import { displayWidth, textTable } from './text-table';

describe('figures', () => {
  it.each([
    [0, '0'],
    [0.034, '0.03'],
    [2.206, '2.21'],
    [34.56, '34.6'],
    [960.4, '960'],
    [1234567, '1,234,567'],
  ])('%d is %s', (value, text) => expect(figure(value)).toBe(text));

  it.each([
    [999, '999 bytes'],
    [1_473_020, '1.47 MB'],
    [73_651_000, '73.7 MB'],
    [2.5e12, '2.50 TB'],
  ])('%d bytes are %s', (value, text) => expect(byteCount(value)).toBe(text));

  it('bars are as long as their value', () => {
    expect(bar(1, 2, 4)).toBe('██');
    expect(bar(2, 2, 4)).toBe('████');
    expect(bar(1, 8, 4)).toBe('▌');
    expect(bar(0, 8, 4)).toBe('');
    expect(bar(1, 0, 4)).toBe('');
  });
});

describe('textTable', () => {
  it('aligns, whatever colours the cells have, and leaves no blanks at line ends', () => {
    const red = '\u001b[31mab\u001b[39m';
    expect(displayWidth(red)).toBe(2);
    const table = textTable(
      [
        ['x', red, '1'],
        ['long', 'c', ''],
      ],
      { align: ['left'], gap: ' ', indent: '>' },
    );
    expect(table).toBe(`>x    ${red} 1\n>long  c\n`);
  });
});
