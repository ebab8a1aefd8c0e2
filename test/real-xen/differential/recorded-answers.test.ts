/**
 * The simulated Xen against what real ones answered, operation by operation, without a real one at hand. When the scripts
 * change: `npm run test:xen -- differential`, and the `observed.txt` it leaves becomes the file of that Xen's version.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseRecording, scriptDigest } from './recorded-answers';
import { ScriptRunner } from './script-runner';
import { differentialScripts } from './scripts';
import { simulatedDifferentialMachine } from './simulated-machine';

const here = new URL('.', import.meta.url);
const recordings = readdirSync(here)
  .filter((name) => /^recorded-.*\.txt$/.test(name))
  .map((name) => parseRecording(readFileSync(new URL(name, here), 'utf8')));
const scripts = differentialScripts();

it('all scripts are recorded, as they are, and no others', () => {
  const current = scripts.map(({ name, script }) => `${name} ${scriptDigest(script)}`);
  const found = recordings.map((recording) =>
    recording.scripts.map(({ name, digest }) => `${name} ${digest}`),
  );
  expect(found).toContainEqual(current);
  expect(current).toEqual(expect.arrayContaining(found.flat()));
});

describe.each(recordings)('the simulated Xen answers as Xen $xenVersion did', (recording) => {
  const machine = simulatedDifferentialMachine(recording.xenVersion);
  const simulated = new ScriptRunner(machine);

  // A script older than a recording is in it; scripts come in the order in which they were added.
  it.each(
    scripts
      .slice(0, recording.scripts.length)
      .map(({ name, script }, index) => [name, script.length, script, index] as const),
  )('%s: %i operations', (_name, _length, script, index) => {
    const answers = recording.scripts[index]?.answers ?? [];
    const differences = script.flatMap((operation, at) => {
      const answer = simulated.run(operation);
      return answer === answers[at]
        ? []
        : [`${at} ${JSON.stringify(operation)}\n  real      ${answers[at]}\n  simulated ${answer}`];
    });
    expect(differences).toEqual([]);
  });

  it('and dom0 holds nothing at the end', () => {
    simulated.finish();
    machine.close();
  });
});
