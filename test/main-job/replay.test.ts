/** The main job over every combination of table versions: a real capture crosses both classes, whole and in order. */
import { fileURLToPath } from 'node:url';
import { readCapture } from '@netchannel2/bridge';
import { replay } from '@netchannel2/cli';
import { describe, expect, it } from 'vitest';

const capture = readCapture(
  fileURLToPath(new URL('../../examples/captures/linux-veth.pcap', import.meta.url)),
);
const VERSIONS = [1, 2] as const;
const COMBINATIONS = VERSIONS.flatMap((dom0) =>
  VERSIONS.flatMap((guest1) => VERSIONS.map((guest2) => ({ dom0, guest1, guest2 }))),
);

describe('replay', () => {
  it.each(COMBINATIONS)('dom0 v$dom0, guests v$guest1 and v$guest2', async (versions) => {
    const report = await replay({ capture, classes: ['vif', 'vif2'], rounds: 1, versions });
    expect(report.complaints).toEqual([]);
    expect(report.ok).toBe(true);
    expect(report.paths.map((path) => path.result.class)).toEqual(['vif', 'vif2']);
    for (const { result } of report.paths) {
      expect(result).toMatchObject({
        grantTableVersions: { 0: versions.dom0, 1: versions.guest1, 2: versions.guest2 },
        framesSent: 996,
        framesReceived: 996,
        mismatches: 0,
      });
      for (const domain of result.domains) {
        expect(domain.grantOperations).toBeGreaterThan(0);
        expect(domain.bytesCopied).toBeGreaterThan(0);
        expect(domain.notifications).toBeGreaterThan(0);
      }
    }
  });

  it('a class by itself, several rounds, after a warm-up', async () => {
    const report = await replay({
      capture,
      classes: ['vif2'],
      rounds: 3,
      warmUp: 1,
      versions: { dom0: 2, guest1: 2, guest2: 2 },
    });
    expect(report.paths.map(({ result }) => [result.class, result.framesReceived])).toEqual([['vif2', 2988]]);
    expect(report.paths[0]?.bytesSent).toBe(3 * capture.byteLength);
    expect(report.ok).toBe(true);
  });
});
