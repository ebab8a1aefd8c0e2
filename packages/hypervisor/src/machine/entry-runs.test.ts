import { atomicEntryAccess, type EntryAccess } from '@netchannel2/grant-table';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MachineMemory } from './machine-memory';

const memory = MachineMemory.create(4 * 1024 * 1024);
const { words, halfwords, kernels } = memory;
/** Pages of a test: entries, status words, a list. */
const ENTRIES = memory.firstFrame << 10;
const STATUS = (memory.firstFrame + 1) << 11;
const LIST = (memory.firstFrame + 2) << 10;
const MOST = 60;
/** GTF_reading and GTF_writing. */
const IN_USE = 0x18;

const word = fc.integer();
const publication = fc.record({ range: word, frame: word, header: word });
/** An entry as it stands before it is revoked, and what is in use of it. */
const revocation = fc.record({ header: word, status: fc.nat(0xffff) });

/** What `run` leaves in the entries, from a known state. */
function entriesAfter(run: () => void): number[] {
  words.fill(0x5a5a5a5a, ENTRIES, ENTRIES + 1024);
  run();
  return Array.from(words.subarray(ENTRIES, ENTRIES + 1024));
}

describe.each([1, 2] as const)('runs of entries of version %i', (version) => {
  const entry = (index: number) => ENTRIES + index * (version === 1 ? 2 : 4);
  const publish = (access: EntryAccess) => (version === 1 ? access.publishRunV1 : access.publishRunV2);
  const revoke = (access: EntryAccess) => (version === 1 ? access.revokeRunV1 : access.revokeRunV2);
  const atomics = atomicEntryAccess(words, halfwords);

  it('are published by the kernel as one by one', () => {
    fc.assert(
      fc.property(fc.array(publication, { maxLength: MOST }), (run) => {
        run.forEach(({ range, frame, header }, index) => {
          words.set([entry(run.length - 1 - index), range, frame, header], LIST + index * 4);
        });
        const [byKernel, byAtomics] = [kernels.entries, atomics].map((access) =>
          entriesAfter(() => publish(access)(LIST, run.length)),
        );
        expect(byKernel).toEqual(byAtomics);
      }),
    );
  });

  it('are revoked by the kernel as one by one, up to each that is in use', () => {
    fc.assert(
      fc.property(fc.array(revocation, { maxLength: MOST }), (run) => {
        const outcome = (access: EntryAccess) => {
          const answers: number[] = [];
          const entries = entriesAfter(() => {
            run.forEach(({ header, status }, index) => {
              words.set([entry(index), STATUS + index], LIST + index * 2);
              words[entry(index)] = header;
              halfwords[STATUS + index] = status;
            });
            let first = 0;
            while (first < run.length) {
              const at = revoke(access)(LIST, first, run.length);
              answers.push(at);
              first = at + 1;
            }
          });
          return { answers, entries };
        };
        const byKernel = outcome(kernels.entries);
        expect(byKernel).toEqual(outcome(atomics));
        const used = run.flatMap(({ header, status }, index) =>
          ((version === 1 ? header : status) & IN_USE) === 0 ? [] : [index],
        );
        expect(byKernel.answers.filter((answer) => answer < run.length)).toEqual(used);
      }),
    );
  });
});
