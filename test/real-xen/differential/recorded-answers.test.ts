/**
 * The simulated Xen against what a real one answered, operation by operation, without a real one at hand. When the scripts
 * change: `npm run test:xen -- differential`, and the `observed.txt` it leaves takes the place of `recorded-answers.txt`.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseRecording, scriptDigest } from './recorded-answers';
import { ScriptRunner } from './script-runner';
import { differentialScripts } from './scripts';
import { simulatedDifferentialMachine } from './simulated-machine';

const recording = parseRecording(readFileSync(new URL('recorded-answers.txt', import.meta.url), 'utf8'));
const scripts = differentialScripts();

describe(`the simulated Xen answers as Xen ${recording.xenVersion} did`, () => {
  const machine = simulatedDifferentialMachine(recording.xenVersion);
  const simulated = new ScriptRunner(machine);

  it('all scripts are recorded, as they are', () => {
    expect(recording.scripts.map(({ name, digest }) => ({ name, digest }))).toEqual(
      scripts.map(({ name, script }) => ({ name, digest: scriptDigest(script) })),
    );
  });

  it.each(scripts.map(({ name, script }, index) => [name, script.length, script, index] as const))(
    '%s: %i operations',
    (_name, _length, script, index) => {
      const answers = recording.scripts[index]?.answers ?? [];
      const differences = script.flatMap((operation, at) => {
        const answer = simulated.run(operation);
        return answer === answers[at]
          ? []
          : [`${at} ${JSON.stringify(operation)}\n  real      ${answers[at]}\n  simulated ${answer}`];
      });
      expect(differences).toEqual([]);
    },
  );

  it('and dom0 holds nothing at the end', () => {
    simulated.finish();
    machine.close();
  });
});
