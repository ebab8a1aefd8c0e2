/** What the build makes of a bundle's top-level `var`s. */
import { describe, expect, it } from 'vitest';
import { withConstantBindings } from '../constant-bindings';

describe('constant bindings of a bundle', () => {
  it('numbers, objects, functions and classes become constant, and every column behind stays where it was', () => {
    const bundled = [
      '// src/ring.ts',
      'var SLOTS = 256;',
      'var Status = { okay: 0 };',
      'var next = (index) => index + 1 & SLOTS - 1;',
      'var Ring = class _Ring {',
      '  state = Status.okay;',
      '};',
      'export { Ring, SLOTS };',
    ].join('\n');
    const constant = withConstantBindings(bundled);
    expect(constant.split('\n')).toEqual([
      '// src/ring.ts',
      'const SLOTS=256;',
      'const Status={ okay: 0 };',
      'const next=(index) => index + 1 & SLOTS - 1;',
      'const Ring=class _Ring {',
      '  state = Status.okay;',
      '};',
      'export { Ring, SLOTS };',
    ]);
    expect(constant).toHaveLength(bundled.length);
  });

  it.each([
    ['assigned to', 'function reset() { value = 2; }'],
    ['added to', 'function grow() { value += 2; }'],
    ['set where it was empty', 'function fill() { value ??= 2; }'],
    ['counted up', 'function count() { value++; }'],
    ['counted down first', 'function count() { return --value; }'],
    ['taken out of an array', 'function take(pair) { [, value] = pair; }'],
    ['taken out of an object', 'function take(object) { ({ value, ...other } = object); }'],
    ['taken out under another name', 'function take(object) { ({ name: value = 2 } = object); }'],
    ['what is left of an object', 'function take(object) { ({ name, ...value } = object); }'],
    ['what a loop steps over', 'function walk(all) { for (value of all); }'],
    ['what a loop looks for', 'function walk(all) { for (value in all); }'],
    ['declared again', 'var value = 2;'],
    ['declared again in a block', 'if (ready) { var { value } = ready; }'],
    ['declared again as a function', 'function value() {}'],
  ])('stays variable: %s', (_, use) => {
    const bundled = `var value = 1;\n${use}\n`;
    expect(withConstantBindings(bundled)).toBe(bundled);
  });

  it('uses are not assignments', () => {
    const uses = 'words[base + value] = value; value.member = 1; object.value = 2; let other = value;';
    expect(withConstantBindings(`var value = 1;\n${uses}`)).toBe(`const value=1;\n${uses}`);
  });

  it('leaves alone what is no bundle of ours: several at once, none yet, parts of another, text', () => {
    const bundled =
      'var a = 1, b = 2;\nvar later;\nvar { part } = whole;\nlet c = `\nvar text = 1;`;\n{ var inner = 1; }\n';
    expect(withConstantBindings(bundled)).toBe(bundled);
  });
});
