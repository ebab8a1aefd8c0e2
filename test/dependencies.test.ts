/** docs/dependencies.md gives a reason for everything that is installed, and for nothing else. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const root = new URL('../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

const manifests = [
  'package.json',
  ...['bench', 'examples', 'test'].map((name) => `${name}/package.json`),
  ...readdirSync(new URL('packages/', root)).map((name) => `packages/${name}/package.json`),
];

it('every dependency has its line of reason, pinned exactly', () => {
  const used = new Map<string, string>();
  for (const path of manifests) {
    const manifest: Manifest = JSON.parse(read(path));
    const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
    for (const [name, version] of Object.entries(all)) {
      if (name.startsWith('@netchannel2/')) continue;
      expect(version, `${name} in ${path}`).toMatch(/^\d+\.\d+\.\d+$/);
      expect(used.get(name) ?? version, `${name} has one version everywhere`).toBe(version);
      used.set(name, version);
    }
  }
  const documented = read('docs/dependencies.md')
    .split('\n')
    .filter((line) => /^\| (?!package|---)/.test(line))
    .flatMap((line) => (line.split('|')[1] ?? '').split(','))
    .map((name) => name.replace(/\(.*\)/, '').trim());
  expect(documented.sort()).toEqual([...used.keys()].sort());
});
