/**
 * One script on real Xen and on the simulated one, both in this process: whatever Xen answered, wrote back or copied, the
 * simulation must too. What real Xen answered is left behind.
 */
import { writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { expect } from 'vitest';
import { ExpectedDifferences } from '../differential/expected-differences';
import { GUESTS, type ScriptOperation, TABLE_VERSIONS } from '../differential/grant-script';
import { realDifferentialMachine } from '../differential/real-machine';
import { ScriptRunner } from '../differential/script-runner';
import { differentialScripts } from '../differential/scripts';
import { simulatedDifferentialMachine } from '../differential/simulated-machine';
import { Guest } from './guest';
import { run } from './programs';

const guests: Guest[] = [];
let real: ScriptRunner;
let expected: ExpectedDifferences;
const observed: string[] = [];

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
  expected = new ExpectedDifferences(real);
});

after(async () => {
  for (const guest of guests) await guest.destroy();
});

describe('real Xen and the simulated one answer alike', () => {
  const simulation = simulatedDifferentialMachine();
  const simulated = new ScriptRunner(simulation);

  const compare = (script: readonly ScriptOperation[]): readonly string[] => {
    const differences: string[] = [];
    script.forEach((operation, index) => {
      const changed = expected.prepare(operation);
      const truth = real.run(operation);
      observed.push(truth);
      const answer = simulated.run(operation);
      if (answer === truth) return;
      if (expected.explain(operation, changed, truth, answer)) {
        // What real Xen copied and the simulation refused must not make later sums differ.
        simulated.takePagesOf(real);
      } else {
        differences.push(
          `${index} ${JSON.stringify(operation)}\n  real      ${truth}\n  simulated ${answer}`,
        );
      }
    });
    return differences;
  };

  for (const { name, script } of differentialScripts()) {
    it(`${name}: ${script.length} operations`, () => {
      const differences = compare(script);
      writeFileSync('/out/observed.txt', `${observed.join('\n')}\n`);
      if (differences.length > 0) console.log(differences.slice(0, 40).join('\n'));
      expect(differences.length).toBe(0);
    });
  }

  it('both let go of everything', () => {
    expect(simulated.finish()).toEqual(real.finish());
    console.log(`${observed.length} operations; the expected difference met ${expected.met} times`);
  });
});
