import { describe, expect, it } from 'vitest';
import { Block } from '../domains/domain-block';
import { EventBench, SELF } from './event-bench';
import { EventChannelOp } from './hypercall';
import { SharedInfo } from './shared-info';
import { Virq } from './virqs';

const EPERM = -1;
const ENOENT = -2;
const ESRCH = -3;
const EFAULT = -14;
const EBUSY = -16;
const EEXIST = -17;
const EINVAL = -22;
const ENOSPC = -28;
const ENOSYS = -38;
const EOPNOTSUPP = -95;

const A = 1;
const B = 2;
const C = 3;
const D = 0;
const UNBOUND = 1;
const INTERDOMAIN = 2;

/** One row of the specification's table: its id, what it says, and the same done. */
type Row = readonly [id: string, says: string, run: () => void | Promise<void>];

const fresh = () => EventBench.withDomains();
const conn = () => fresh().conn();

const allocation: Row[] = [
  [
    'E1',
    'ports count up from 1',
    () => {
      const bench = fresh();
      expect([1, 2, 3].map(() => bench.alloc(A, SELF, B))).toEqual([1, 2, 3]);
    },
  ],
  [
    'E2',
    'a closed port is reused at once',
    () => {
      const bench = fresh();
      for (let count = 0; count < 3; count++) bench.alloc(A, SELF, B);
      expect(bench.close(A, 2)).toBe(0);
      expect(bench.alloc(A, SELF, B)).toBe(2);
    },
  ],
  [
    'E3',
    'only a control domain allocates for others',
    () => {
      const bench = fresh();
      expect(bench.alloc(A, B, A)).toBe(EPERM);
      expect(bench.alloc(A, SELF, B)).toBe(1);
      expect(bench.alloc(B, SELF, A)).toBe(1);
      expect(bench.alloc(D, A, B)).toBe(2);
    },
  ],
  [
    'E4',
    'the domain must exist, the remote need not',
    () => {
      const bench = fresh();
      expect(bench.alloc(D, 77, A)).toBe(ESRCH);
      expect(bench.alloc(A, SELF, 77)).toBe(1);
    },
  ],
  [
    'E5',
    'remote SELF is the caller, not the domain',
    () => {
      const bench = fresh();
      const port = bench.alloc(D, A, SELF);
      expect(bench.status(D, A, port)).toEqual([UNBOUND, 0, D, 0]);
    },
  ],
  [
    'E6',
    'the domain’s own limit',
    () => {
      const bench = fresh();
      for (let port = 1; port <= 1023; port++) expect(bench.alloc(A, SELF, B)).toBe(port);
      expect(bench.alloc(A, SELF, B)).toBe(ENOSPC);
    },
  ],
  [
    'E7',
    'the limit of the ABI: 4095 ports for 64-bit guests, 1023 for 32-bit ones',
    () => {
      const bench = fresh();
      bench.create(4, { maxEventChannelPort: -1, wordBits: 32 });
      for (let port = 1; port <= 4095; port++) expect(bench.alloc(D, SELF, B)).toBe(port);
      expect(bench.alloc(D, SELF, B)).toBe(ENOSPC);
      for (let port = 1; port <= 1023; port++) expect(bench.alloc(4, SELF, B)).toBe(port);
      expect(bench.alloc(4, SELF, B)).toBe(ENOSPC);
    },
  ],
];

const binding: Row[] = [
  [
    'E8',
    'the binder’s port starts pending',
    () => {
      const bench = fresh();
      bench.alloc(A, SELF, B);
      expect(bench.bind(B, A, 1)).toBe(1);
      expect([bench.pending(B, 1), bench.selector(B), bench.upcall(B)]).toEqual([1, 1, 1]);
      expect(bench.pending(A, 1)).toBe(0);
      expect(bench.kicks).toEqual([B]);
    },
  ],
  [
    'E9',
    'pending behind its mask',
    () => {
      const bench = fresh();
      bench.setMask(B, 1, 1);
      bench.alloc(A, SELF, B);
      bench.bind(B, A, 1);
      expect([bench.pending(B, 1), bench.selector(B), bench.upcall(B)]).toEqual([1, 0, 0]);
    },
  ],
  [
    'E10',
    'a port meant for another domain',
    () => {
      const bench = fresh();
      bench.alloc(A, SELF, B);
      expect(bench.bind(C, A, 1)).toBe(EINVAL);
      expect(bench.alloc(C, SELF, A)).toBe(1);
    },
  ],
  [
    'E11',
    'ports that cannot be bound',
    () => {
      const bench = fresh();
      bench.alloc(A, SELF, B);
      expect([40, 100_000, 0].map((port) => bench.bind(B, A, port))).toEqual([EINVAL, EINVAL, EINVAL]);
    },
  ],
  [
    'E12',
    'a second bind',
    () => {
      const bench = conn();
      expect(bench.bind(B, A, 1)).toBe(EINVAL);
    },
  ],
  [
    'E13',
    'loopback',
    () => {
      const bench = fresh();
      bench.alloc(A, SELF, SELF);
      expect(bench.bind(A, SELF, 1)).toBe(2);
      expect(bench.pending(A, 2)).toBe(1);
      bench.setPending(A, 2, 0);
      bench.send(A, 1);
      expect([bench.pending(A, 1), bench.pending(A, 2)]).toEqual([0, 1]);
      bench.send(A, 2);
      expect(bench.pending(A, 1)).toBe(1);
    },
  ],
];

const delivery: Row[] = [
  [
    'E14',
    'send',
    () => {
      const bench = conn();
      expect(bench.send(A, 1)).toBe(0);
      expect([bench.pending(B, 1), bench.selector(B), bench.upcall(B)]).toEqual([1, 1, 1]);
      expect(bench.kicks).toEqual([B]);
    },
  ],
  [
    'E15',
    'many sends, one event',
    () => {
      const bench = conn();
      for (let count = 0; count < 10; count++) bench.send(A, 1);
      expect(bench.kicks).toEqual([B]);
      expect(bench.scan(B)).toEqual([1]);
      expect(bench.scan(B)).toEqual([]);
    },
  ],
  [
    'E16',
    'no second kick while the selector bit is set',
    () => {
      const bench = conn();
      bench.send(A, 1);
      bench.setPending(B, 1, 0);
      bench.send(A, 1);
      expect(bench.pending(B, 1)).toBe(1);
      expect(bench.kicks).toEqual([B]);
    },
  ],
  [
    'E17',
    'a masked port becomes pending and nothing else',
    () => {
      const bench = conn();
      bench.setMask(B, 1, 1);
      bench.send(A, 1);
      expect([bench.pending(B, 1), bench.selector(B), bench.upcall(B)]).toEqual([1, 0, 0]);
      expect(bench.kicks).toEqual([]);
    },
  ],
  [
    'E18',
    'unmask delivers what waited',
    () => {
      const bench = conn();
      bench.setMask(B, 1, 1);
      bench.send(A, 1);
      expect(bench.unmask(B, 1)).toBe(0);
      expect([bench.masked(B, 1), bench.selector(B), bench.upcall(B)]).toEqual([0, 1, 1]);
    },
  ],
  [
    'E19',
    'unmask with nothing pending',
    () => {
      const bench = conn();
      bench.setMask(B, 1, 1);
      bench.unmask(B, 1);
      expect([bench.masked(B, 1), bench.selector(B), bench.upcall(B)]).toEqual([0, 0, 0]);
    },
  ],
  [
    'E20',
    'unmask of an unmasked port',
    () => {
      const bench = conn();
      bench.setPending(B, 1, 1);
      bench.unmask(B, 1);
      expect([bench.selector(B), bench.upcall(B)]).toEqual([0, 0]);
    },
  ],
  [
    'E21',
    'a mask cleared by a plain store delivers nothing',
    () => {
      const bench = conn();
      bench.setMask(B, 1, 1);
      bench.send(A, 1);
      bench.setMask(B, 1, 0);
      expect([bench.pending(B, 1), bench.upcall(B)]).toEqual([1, 0]);
      bench.send(A, 1);
      expect(bench.upcall(B)).toBe(0);
    },
  ],
  [
    'E22',
    'where the bits of port 130 lie',
    () => {
      const bench = fresh();
      for (let port = 1; port <= 130; port++) bench.alloc(B, SELF, SELF);
      bench.bind(B, SELF, 1);
      bench.close(B, 131);
      bench.close(B, 130);
      expect(bench.bind(B, SELF, 2)).toBe(130);
      const info = bench.info(B);
      expect(bench.words[info + SharedInfo.pending + 4]).toBe(1 << 2);
      expect((bench.selector(B) >>> 2) & 1).toBe(1);
      expect(info * 4 + 2048 + 2 * 8).toBe((info + SharedInfo.pending + 4) * 4);
    },
  ],
  [
    'E23',
    'ports that cannot send',
    () => {
      const bench = fresh();
      const virq = bench.bindVirq(A, Virq.debug);
      expect([40, 100_000, 0, virq].map((port) => bench.send(A, port))).toEqual([
        EINVAL,
        EINVAL,
        EINVAL,
        EINVAL,
      ]);
    },
  ],
  [
    'E24',
    'an unbound port swallows events',
    () => {
      const bench = fresh();
      bench.alloc(A, SELF, B);
      expect(bench.send(A, 1)).toBe(0);
      expect(bench.kicks).toEqual([]);
    },
  ],
];

const closing: Row[] = [
  [
    'E25',
    'close leaves the peer unbound, silently',
    () => {
      const bench = conn();
      bench.setPending(B, 1, 1);
      expect(bench.close(A, 1)).toBe(0);
      expect(bench.status(A, SELF, 1)).toEqual([0, 0, 0, 0]);
      expect(bench.status(B, SELF, 1)).toEqual([UNBOUND, 0, A, 0]);
      expect(bench.pending(B, 1)).toBe(1);
      expect(bench.kicks).toEqual([]);
    },
  ],
  [
    'E26',
    'sends after the peer closed are dropped',
    () => {
      const bench = conn();
      bench.close(A, 1);
      expect(bench.send(B, 1)).toBe(0);
      expect(bench.pending(A, 1)).toBe(0);
    },
  ],
  [
    'E27',
    'the domain that closed may bind again',
    () => {
      const bench = conn();
      bench.close(A, 1);
      expect(bench.bind(A, B, 1)).toBe(1);
      expect(bench.pending(A, 1)).toBe(1);
      expect(bench.status(B, SELF, 1)).toEqual([INTERDOMAIN, 0, A, 1]);
    },
  ],
  [
    'E28',
    'nobody else may',
    () => {
      const bench = conn();
      bench.close(A, 1);
      expect(bench.bind(C, B, 1)).toBe(EINVAL);
    },
  ],
  [
    'E29',
    'ports that cannot be closed',
    () => {
      const bench = conn();
      expect([1, 1, 0, 100_000].map((port) => bench.close(A, port))).toEqual([0, EINVAL, EINVAL, EINVAL]);
    },
  ],
  [
    'E30',
    'close clears PENDING and leaves MASKED',
    () => {
      const bench = conn();
      bench.setPending(A, 1, 1);
      bench.setMask(A, 1, 1);
      bench.close(A, 1);
      expect(bench.alloc(A, SELF, B)).toBe(1);
      expect([bench.pending(A, 1), bench.masked(A, 1)]).toEqual([0, 1]);
    },
  ],
];

const other: Row[] = [
  [
    'E31',
    'status of ports in no use',
    () => {
      const bench = conn();
      expect(bench.status(A, SELF, 0)).toEqual([0, 0, 0, 0]);
      expect(bench.status(A, SELF, 40)).toEqual([0, 0, 0, 0]);
      expect(bench.status(A, SELF, 100_000)).toBe(EINVAL);
    },
  ],
  [
    'E32',
    'status of others’ ports',
    () => {
      const bench = conn();
      expect(bench.status(B, A, 1)).toBe(EPERM);
      expect(bench.status(B, A, 100_000)).toBe(EINVAL);
      expect(bench.status(D, A, 1)).toEqual([INTERDOMAIN, 0, B, 1]);
    },
  ],
  [
    'E33',
    'unmask of a free and of an invalid port',
    () => {
      const bench = conn();
      bench.setMask(A, 40, 1);
      expect(bench.unmask(A, 40)).toBe(0);
      expect(bench.masked(A, 40)).toBe(1);
      expect(bench.unmask(A, 100_000)).toBe(EINVAL);
    },
  ],
  ['E34', 'bind_vcpu looks at the vCPU first', () => expect(conn().bindVcpu(B, 100_000, 9)).toBe(ENOENT)],
  [
    'E35',
    'ports whose vCPU is fixed',
    () => {
      const bench = conn();
      const ports = [bench.bindIpi(B), bench.bindVirq(B, Virq.debug), 40];
      expect(ports.map((port) => bench.bindVcpu(B, port, 0))).toEqual([EINVAL, EINVAL, EINVAL]);
    },
  ],
  [
    'E36',
    'a moved port’s pending event stays where it was flagged',
    () => {
      const bench = EventBench.withDomains({ vcpus: 2 }).conn();
      bench.send(A, 1);
      expect(bench.bindVcpu(B, 1, 1)).toBe(0);
      expect([bench.selector(B, 0), bench.selector(B, 1), bench.upcall(B, 1)]).toEqual([1, 0, 0]);
      expect(bench.scan(B, 0)).toEqual([1]);
      bench.send(A, 1);
      expect([bench.selector(B, 0), bench.selector(B, 1), bench.upcall(B, 1)]).toEqual([0, 1, 1]);
    },
  ],
  [
    'E37',
    'a reused port notifies vCPU 0 again',
    () => {
      const bench = EventBench.withDomains({ vcpus: 2 }).conn();
      bench.bindVcpu(B, 1, 1);
      expect(bench.status(B, SELF, 1)).toEqual([INTERDOMAIN, 1, A, 1]);
      bench.close(B, 1);
      expect(bench.alloc(B, SELF, A)).toBe(1);
      expect(bench.status(B, SELF, 1)).toEqual([UNBOUND, 0, A, 0]);
    },
  ],
  [
    'E38',
    'bind_virq',
    () => {
      const bench = fresh();
      expect(bench.bindVirq(B, 24)).toBe(EINVAL);
      expect(bench.bindVirq(B, Virq.debug)).toBe(1);
      expect(bench.bindVirq(B, Virq.debug)).toBe(EEXIST);
      expect(bench.bindVirq(B, Virq.argo, 1)).toBe(EINVAL);
      expect(bench.bindVirq(B, Virq.debug, 1)).toBe(ENOENT);
      expect(bench.bindVirq(B, Virq.domainException)).toBe(EBUSY);
      expect(bench.bindVirq(D, Virq.domainException)).toBe(1);
    },
  ],
  [
    'E39',
    'bind_virq without a free port has no effect on others (XSA-496)',
    () => {
      const bench = fresh();
      expect(bench.bindVirq(D, Virq.domainException)).toBe(1);
      for (let port = 1; port <= 1023; port++) bench.alloc(A, SELF, B);
      expect(bench.bindVirq(A, Virq.debug)).toBe(ENOSPC);
      bench.hypervisor.destroyDomain(C);
      expect(bench.pending(D, 1)).toBe(1);
    },
  ],
  [
    'E40',
    'an IPI reaches its own port',
    () => {
      const bench = fresh();
      expect(bench.bindIpi(A)).toBe(1);
      expect(bench.send(A, 1)).toBe(0);
      expect([bench.pending(A, 1), bench.upcall(A)]).toEqual([1, 1]);
    },
  ],
  [
    'E41',
    'set_priority without FIFO',
    () => {
      const bench = conn();
      expect(bench.call(A, EventChannelOp.setPriority, 1, 0)).toBe(ENOSYS);
      expect(bench.call(A, EventChannelOp.setPriority, 100_000, 0)).toBe(EINVAL);
    },
  ],
  [
    'E42',
    'expand_array without FIFO',
    () => expect(conn().call(A, EventChannelOp.expandArray, 0, 0)).toBe(EOPNOTSUPP),
  ],
  [
    'E43',
    'init_control checks its argument; the FIFO ABI itself is not offered',
    () => {
      const bench = fresh();
      const init = (offset: number, vcpu = 0) =>
        bench.call(A, EventChannelOp.initControl, 0, 0, offset, vcpu);
      expect([init(4028), init(4), init(4024), init(4024, 9)]).toEqual([EINVAL, EINVAL, ENOSYS, ENOENT]);
    },
  ],
];

const polling: Row[] = [
  [
    'E44',
    'a pending port answers at once',
    () => {
      const bench = conn();
      bench.setMask(B, 1, 1);
      bench.send(A, 1);
      expect(bench.hypervisor.pollers.poll(B, [1])).toBe(0);
    },
  ],
  [
    'E45',
    'a masked event wakes the poller without an upcall',
    async () => {
      const bench = conn();
      bench.setMask(B, 1, 1);
      const sleep = bench.hypervisor.pollers.poll(B, [1]);
      expect(sleep).toBeInstanceOf(Promise);
      bench.send(A, 1);
      expect(await sleep).toBe(0);
      expect(bench.upcall(B)).toBe(0);
      expect(bench.words[bench.block(B) + Block.pollers]).toBe(0);
    },
  ],
  [
    'E46',
    'one port polled: others do not wake; two polled: any does',
    async () => {
      const bench = conn();
      bench.alloc(A, SELF, B);
      expect(bench.bind(B, A, 2)).toBe(2);
      bench.scan(B);
      bench.setMask(B, 1, 1);
      bench.setMask(B, 2, 1);
      let woken = false;
      const one = Promise.resolve(bench.hypervisor.pollers.poll(B, [1])).then(() => {
        woken = true;
      });
      bench.send(A, 2);
      await Promise.resolve();
      expect(woken).toBe(false);
      bench.setPending(B, 2, 0);
      const two = bench.hypervisor.pollers.poll(B, [1, 2]);
      bench.send(A, 2);
      expect(await two).toBe(0);
      bench.send(A, 1);
      await one;
      expect(woken).toBe(true);
    },
  ],
  [
    'E47',
    'ports that cannot be polled, and too many',
    () => {
      const bench = conn();
      expect(bench.hypervisor.pollers.poll(B, [40])).toBe(EINVAL);
      expect(bench.hypervisor.pollers.poll(B, new Array(129).fill(1))).toBe(EINVAL);
    },
  ],
  [
    'E48',
    'a send to a port already pending is no edge',
    () => {
      const bench = conn();
      bench.setMask(B, 1, 1);
      bench.send(A, 1);
      bench.send(A, 1);
      expect(bench.hypervisor.pollers.poll(B, [1])).toBe(0);
      expect(bench.kicks).toEqual([]);
    },
  ],
];

const ending: Row[] = [
  [
    'E49',
    'a domain dies',
    () => {
      const bench = conn();
      expect(bench.hypervisor.destroyDomain(B)).toBe(true);
      expect(bench.status(A, SELF, 1)).toEqual([UNBOUND, 0, B, 0]);
      expect(bench.kicks).toEqual([]);
      expect(bench.send(A, 1)).toBe(0);
      expect(bench.alloc(D, B, A)).toBe(ESRCH);
    },
  ],
  [
    'E50',
    'reset of oneself',
    () => {
      const bench = conn();
      bench.alloc(A, SELF, C);
      bench.bindIpi(A);
      expect(bench.reset(A, SELF)).toBe(0);
      expect(bench.status(B, SELF, 1)).toEqual([UNBOUND, 0, A, 0]);
      expect(bench.alloc(A, SELF, B)).toBe(1);
    },
  ],
  [
    'E51',
    'reset of another that is not paused',
    () => {
      const bench = conn();
      expect(bench.reset(D, A)).toBe(EINVAL);
      expect(bench.reset(B, A)).toBe(EPERM);
      expect(bench.reset(D, 77)).toBe(ESRCH);
      bench.words[bench.block(A) + Block.paused] = 1;
      expect(bench.reset(D, A)).toBe(0);
      expect(bench.status(B, SELF, 1)).toEqual([UNBOUND, 0, A, 0]);
    },
  ],
  ['E52', 'an unknown operation', () => expect(fresh().call(A, 99)).toBe(ENOSYS)],
];

describe('event channels, specification vectors', () => {
  it.each([...allocation, ...binding, ...delivery, ...closing, ...other, ...polling, ...ending])(
    '%s: %s',
    async (_id, _says, run) => {
      await run();
    },
  );
});

describe('event channels, beyond the vectors', () => {
  it('refuses arguments outside the caller’s own memory', () => {
    const bench = fresh();
    expect(bench.hypervisor.eventChannelOp(A, EventChannelOp.send, bench.argument(B))).toBe(EFAULT);
    expect(bench.hypervisor.eventChannelOp(A, EventChannelOp.send, 0x7fff_0000)).toBe(EFAULT);
    expect(bench.hypervisor.eventChannelOp(A, EventChannelOp.send, bench.argument(A) + 4 * 4096 - 4)).toBe(
      EINVAL,
    );
    expect(bench.hypervisor.eventChannelOp(A, EventChannelOp.close, bench.argument(A) + 2)).toBe(EFAULT);
  });

  it('allocates no port for a dying domain', () => {
    const bench = fresh();
    const [frame] = [bench.words[bench.block(B) + Block.runs] as number];
    bench.hypervisor.frames.acquire(frame, B);
    bench.hypervisor.destroyDomain(B);
    expect(bench.alloc(D, B, A)).toBe(EINVAL);
    bench.hypervisor.domains.releaseReference(frame);
    bench.hypervisor.reap();
    expect(bench.alloc(D, B, A)).toBe(ESRCH);
  });

  it('answers EOPNOTSUPP for physical interrupts', () => {
    expect(fresh().call(A, EventChannelOp.bindPirq, 1, 0, 0)).toBe(EOPNOTSUPP);
  });
});
