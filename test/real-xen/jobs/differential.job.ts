/**
 * One script on real Xen and on the simulated one, both in this process: whatever Xen answered, wrote back or copied, the
 * simulation must too. What real Xen answered is left behind.
 */
import { writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { expect } from 'vitest';
import { GUESTS, TABLE_VERSIONS } from '../differential/grant-script';
import { realDifferentialMachine } from '../differential/real-machine';
import { type RecordedScript, recordingText, scriptDigest } from '../differential/recorded-answers';
import { ScriptRunner } from '../differential/script-runner';
import { differentialScripts } from '../differential/scripts';
import { grantTablesOf, simulatedDifferentialMachine } from '../differential/simulated-machine';
import { Guest } from './guest';
import { run } from './programs';

/** Debian's version, which tells more than Xen's own: what else of its branch is in it. It stands in the first line Xen says. */
async function versionOfXen(): Promise<string> {
  const said = /^\(XEN\) Xen version \S+ \(Debian ([^)\s]+)\)/m.exec(await run('xl', 'dmesg'));
  const own = /xen_version\s*:\s*(\S+)/.exec(await run('xl', 'info'));
  return said?.[1] ?? own?.[1] ?? 'unknown';
}

const guests: Guest[] = [];
let real: ScriptRunner;
let simulated: ScriptRunner;
let xenVersion = '';
const recorded: RecordedScript[] = [];

before(async () => {
  for (const guest of GUESTS) {
    guests.push(
      await Guest.create({
        name: `puppet${guest}`,
        host: 10 + guest,
        vifs: [],
        grantTable: TABLE_VERSIONS[guest],
        words: 'lab_late=1',
      }),
    );
  }
  for (const guest of guests) await guest.says('GUEST-UP');
  for (const guest of guests) await run('xl', 'pause', guest.name);
  real = new ScriptRunner(realDifferentialMachine(await Promise.all(guests.map((guest) => guest.domid()))));
  xenVersion = await versionOfXen();
  simulated = new ScriptRunner(simulatedDifferentialMachine(xenVersion));
});

after(async () => {
  for (const guest of guests) await guest.destroy();
});

describe('real Xen and the simulated one answer alike', () => {
  for (const { name, script, refusesForeignFrames } of differentialScripts()) {
    it(`${name}: ${script.length} operations`, (context) => {
      if (refusesForeignFrames === true && grantTablesOf(xenVersion).foreignFrameCheck !== 'claimed') {
        context.skip(`Xen ${xenVersion} is without XSA-523: there it may copy without a grant`);
        return;
      }
      const differences: string[] = [];
      const answers = script.map((operation, index) => {
        const truth = real.run(operation);
        const answer = simulated.run(operation);
        if (answer !== truth) {
          differences.push(
            `${index} ${JSON.stringify(operation)}\n  real      ${truth}\n  simulated ${answer}`,
          );
        }
        return truth;
      });
      recorded.push({ name, digest: scriptDigest(script), answers });
      writeFileSync('/out/observed.txt', recordingText({ xenVersion, scripts: recorded }));
      if (differences.length > 0) console.log(differences.slice(0, 40).join('\n'));
      expect(differences.length).toBe(0);
    });
  }

  it('both let go of everything', () => {
    expect(simulated.finish()).toEqual(real.finish());
    console.log(
      `Xen ${xenVersion}, ${recorded.reduce((sum, { answers }) => sum + answers.length, 0)} operations`,
    );
  });
});
