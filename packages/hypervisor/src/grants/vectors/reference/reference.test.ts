/** Rows of the vector table as a real Xen answered them: the simulation must give the same values. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ReferenceLab } from './reference-lab';
import { COPY_ROWS } from './rows-copy';
import { MAPPING_ROWS } from './rows-mapping';
import { TABLE_ROWS } from './rows-tables';

const answers = new Map(
  readFileSync(new URL('answers.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => {
      const [name = '', answer = ''] = line.split(' = ');
      return [name, JSON.parse(answer) as unknown];
    }),
);
/** What the simulation has no counterpart of, or other tests show. */
const NOT_HERE = new Map([
  ['S7 acquire frame 9 on g3: size before/after', 'XENMEM_acquire_resource: versions.test.ts'],
  ['S8', 'XENMEM_acquire_resource: versions.test.ts'],
  ['S9 acquire status frame 1 on g3', 'XENMEM_acquire_resource: versions.test.ts'],
  [
    'set_version(1) while this process maps the status frames',
    'a domain’s own page tables: XSA-255 in advisories.test.ts',
  ],
  [
    'page gone, table still held by this process: map, copy',
    'a domain that is kept by a mapping of its table',
  ],
]);
const ROWS = [...MAPPING_ROWS, ...COPY_ROWS, ...TABLE_ROWS];

describe('what Xen 4.17.7 answered', () => {
  it.each(ROWS)('%s', (name, run) => {
    const lab = new ReferenceLab();
    expect(answers.has(name)).toBe(true);
    expect(run(lab)).toEqual(answers.get(name));
    lab.close();
  });

  it('every answer is asked for', () => {
    const asked = new Set([...ROWS.map(([name]) => name), ...NOT_HERE.keys()]);
    expect([...answers.keys()].filter((name) => !asked.has(name))).toEqual([]);
    expect(new Set(ROWS.map(([name]) => name)).size).toBe(ROWS.length);
  });
});
