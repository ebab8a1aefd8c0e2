/** `nc2 compare`: every way is taken, and its counts are those of its mechanism. Times are not judged. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Comparison } from '@netchannel2/cli';
import { describe, expect, it } from 'vitest';
import { nc2 } from './quiet-terminal';

describe('nc2 compare', () => {
  it('--json: by a copy dom0 moves the bytes, by transitive grants it moves headers, over a bypass nothing', async () => {
    const { exitCode, out, error } = await nc2('compare', '--json', '--no-output', '-n', '2000');
    expect([exitCode, error]).toEqual([0, '']);
    const { routes, rounds, frameBytes }: Comparison = JSON.parse(out);
    expect([frameBytes, rounds]).toEqual([1514, 1]);
    const dom0 = (name: string) => {
      const route = routes.find((one) => `${one.class} ${one.from} ${one.to} ${one.way}` === name);
      const cost = route?.domains.find((domain) => domain.role === 'dom0');
      if (cost === undefined) throw new Error(`no ${name}`);
      return cost;
    };
    expect(routes).toHaveLength(8);
    for (const name of [
      'vif guest dom0 copy',
      'vif dom0 guest copy',
      'vif guest guest copy',
      'vif2 guest guest copy',
    ])
      expect(dom0(name).bytesCopiedPerFrame, name).toBeGreaterThanOrEqual(1514);
    expect(dom0('vif2 dom0 guest copy').bytesCopiedPerFrame).toBeLessThan(300);
    expect(dom0('vif2 guest guest transitive').bytesCopiedPerFrame).toBeLessThan(600);
    expect(dom0('vif2 guest guest bypass')).toMatchObject({
      nsPerFrame: 0,
      bytesCopiedPerFrame: 0,
      grantOperationsPerFrame: 0,
      notificationsPerFrame: 0,
    });
  });

  it('prints within 100 columns and writes a chart that stands alone', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nc2-compare-'));
    try {
      const file = join(directory, 'compare.html');
      const { exitCode, out } = await nc2('compare', '-n', '500', '-b', '4096', '-o', file);
      expect(exitCode).toBe(0);
      for (const line of out.split('\n').slice(0, -2)) expect(line.length).toBeLessThanOrEqual(100);
      const page = readFileSync(file, 'utf8');
      expect(page.match(/<svg /g)).toHaveLength(2);
      expect(page).not.toMatch(/https?:|<script|NaN|undefined/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
