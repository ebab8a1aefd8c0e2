import type { CopySegment, CopySide, PageName, ScriptOperation } from './grant-script';

const DOMID_SELF = 0x7ff0;
const STRANGER = 777;
const BEYOND = 1 << 20;
const REF = 100;
/** A reference no kernel uses, whose number is that of a frame no domain has: the lowest memory is nobody's. */
const LOW = 3;

const grant = (domain: number, ref = REF, offset = 0): CopySide => ({ domain, ref, offset });
const bare = (domain: number, page: PageName, offset = 0): CopySide => ({ domain, page, offset });
const own = (page: number): CopySide => bare(DOMID_SELF, { domain: 0, page }, 8);

/** Sides of a copy that name a frame instead of a reference, of another domain: alone, and behind what makes them look fine. */
export function bareFrameScript(): readonly ScriptOperation[] {
  const script: ScriptOperation[] = [];
  const entry = (table: number, ref: number, page = 0): void => {
    script.push({ op: 'entry', table, ref, flags: 1, grantee: 0, page: { domain: table, page } });
  };
  const copies = (...pairs: readonly (readonly [CopySide, CopySide])[]): void => {
    const segments = pairs.map(([source, target]): CopySegment => ({ source, target, length: 16 }));
    script.push({ op: 'copy', segments });
  };
  for (const [T, other] of [
    [1, 2],
    [2, 3],
    [3, 1],
  ] as const) {
    entry(T, REF);
    entry(other, REF);
    const theirs = bare(T, { domain: T, page: 0 });
    const others = bare(other, { domain: other, page: 1 });
    // One side of that kind, and what else may be wrong with either.
    for (const side of [
      theirs,
      bare(T, 'bad'),
      bare(T, { domain: T, page: 0 }, 4090),
      bare(T, { domain: 0, page: 0 }),
    ]) {
      copies([side, own(0)]);
      copies([own(0), side]);
      copies([side, grant(other)]);
      copies([grant(other), side]);
      copies([grant(other, BEYOND), side]);
      copies([grant(other, REF, 4090), side]);
      copies([side, grant(other, BEYOND)]);
      copies([bare(DOMID_SELF, 'bad'), side]);
      copies([side, bare(DOMID_SELF, 'bad')]);
      copies([side, others]);
    }
    for (const stranger of [grant(STRANGER), bare(STRANGER, { domain: 0, page: 0 })]) {
      copies([stranger, own(0)]);
      copies([own(0), stranger]);
      copies([stranger, theirs]);
      copies([theirs, stranger]);
    }
    // Named by its number, the caller is another domain too.
    copies([bare(0, { domain: 0, page: 0 }), own(1)]);
    copies([own(0), bare(0, { domain: 0, page: 1 })]);
    // Behind elements of the same two domains.
    copies([grant(T), own(0)], [theirs, own(0)], [grant(T), own(0)]);
    copies([own(0), grant(T)], [own(0), theirs], [own(0), grant(T)]);
    copies([grant(T), grant(other)], [theirs, grant(other)], [grant(T), others], [grant(T), grant(other)]);
    copies([grant(T), own(0)], [bare(T, 'bad'), own(0)], [grant(T, BEYOND), own(0)], [theirs, own(1)]);
    copies([theirs, own(0)], [theirs, own(0)], [grant(T), own(0)]);
    // A frame that has the number of the reference before it, and the other way about.
    entry(T, LOW, 1);
    const low = { frame: LOW };
    copies([grant(T, LOW), own(0)], [bare(T, low), own(1)], [grant(T, LOW), own(1)]);
    copies([own(0), grant(T, LOW)], [own(1), bare(T, low)], [own(1), grant(T, LOW)]);
    copies([bare(T, low), own(0)], [own(0), bare(T, low)]);
  }
  // The same with the caller as its own granter: nothing is foreign there.
  script.push({ op: 'entry', table: 0, ref: LOW, flags: 1, grantee: 0, page: { domain: 0, page: 0 } });
  const low = bare(DOMID_SELF, { frame: LOW });
  copies([grant(DOMID_SELF, LOW), own(1)], [low, own(1)], [grant(DOMID_SELF, LOW), own(1)]);
  copies([own(1), grant(DOMID_SELF, LOW)], [own(1), low], [own(1), grant(DOMID_SELF, LOW)]);
  copies([low, own(1)], [own(1), low]);
  script.push({ op: 'flags', table: 0, ref: LOW, flags: 0 });
  return script;
}
