/**
 * Stands for vitest where the suites run inside dom0: Node's own test runner and vitest's own matchers. Bundles of jobs name it
 * in place of `vitest`.
 */
import { describe as nodeDescribe, it as nodeIt } from 'node:test';
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  chai,
  type ExpectStatic,
  getState,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect';

/** Emulation is slow; a test that hangs must still end while the machine is up. */
const TIMEOUT = 300_000;

type Body = () => void | Promise<void>;
type EachBody = (...values: never[]) => void | Promise<void>;

export const describe = (name: string, body: () => void): void => {
  void nodeDescribe(name, body);
};

function register(name: string, body: Body): void {
  void nodeIt(name, { timeout: TIMEOUT }, async () => {
    await body();
  });
}

/** `%s` and `%d` in the name are replaced by the values of the row. */
function each(rows: readonly unknown[]): (name: string, body: EachBody) => void {
  return (name, body) => {
    for (const row of rows) {
      const values: readonly unknown[] = Array.isArray(row) ? row : [row];
      let next = 0;
      const title = name.replace(/%[sdi]/g, () => String(values[next++]));
      register(title, () => body(...(values as never[])));
    }
  };
}

export const it = Object.assign(register, { each });
export const test = it;

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

const base = (value: unknown, message?: string): unknown => chai.expect(value, message);
export const expect = Object.assign(base, chai.expect) as unknown as ExpectStatic;
const asymmetric: unknown = Reflect.get(globalThis, ASYMMETRIC_MATCHERS_OBJECT);
Object.assign(expect, asymmetric);
expect.getState = () => getState(expect);
expect.setState = (state) => setState(state, expect);
setState(
  {
    assertionCalls: 0,
    isExpectingAssertions: false,
    isExpectingAssertionsError: null,
    expectedAssertionsNumber: null,
    expectedAssertionsNumberErrorGen: null,
  },
  expect,
);
