import {
  type BackendBinding,
  bindBackends,
  bindFrontends,
  type FrontendBinding,
} from '@netchannel2/device-registry';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback, netbackDriver } from '@netchannel2/netback';
import { type Netfront, netfrontDriver } from '@netchannel2/netfront';
import { eventChannelPort, grantRef } from '@netchannel2/xen';
import { firstValueFrom } from 'rxjs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HandToolstack, reached } from './toolstack';

const CONNECTED = 4;
const CLOSED = 6;

let machine: Machine;
let host: SimulatedDomain;
let guest: SimulatedDomain;
let backends: BackendBinding<Netback>;
let frontends: FrontendBinding<Netfront>;
let toolstack: HandToolstack;

beforeEach(() => {
  machine = Machine.boot({ memoryBytes: 64 << 20 });
  host = machine.createDomain();
  guest = machine.createDomain();
  backends = bindBackends(host, netbackDriver());
  frontends = bindFrontends(guest, netfrontDriver());
  toolstack = new HandToolstack(host, guest);
});

afterEach(async () => {
  await Promise.all([frontends.close(), backends.close()]);
  await machine.idle();
  expect(machine.leaks().filter(({ kind }) => kind !== 'ports')).toEqual([]);
  machine.shutdown();
});

const attached = async (nodes: Parameters<HandToolstack['attach']>[0] = {}) => {
  await toolstack.attach(nodes);
  const front = await firstValueFrom(frontends.connections$);
  const back = await firstValueFrom(backends.connections$);
  await Promise.all([reached(front, CONNECTED), reached(back, CONNECTED)]);
  return { front, back };
};

const countsOf = (front: Netfront, back: Netback) => {
  const counts = { toHost: 0, toGuest: 0 };
  back.frames$.subscribe(() => {
    counts.toHost += 1;
  });
  front.frames$.subscribe(() => {
    counts.toGuest += 1;
  });
  return counts;
};

it('attach, traffic, unplug: all of it through xenstore', async () => {
  const { front, back } = await attached();
  const counts = countsOf(front.device, back.device);
  expect(front.device.mac).toBe('00:16:3e:00:00:01');
  for (let index = 0; index < 10; index += 1) {
    expect(front.device.send(new Uint8Array(1514))).toBe(true);
    expect(back.device.send(new Uint8Array(1514))).toBe(true);
  }
  await machine.idle();
  expect(counts).toEqual({ toHost: 10, toGuest: 10 });
  const ended = Promise.all([reached(front, CLOSED), reached(back, CLOSED)]);
  await toolstack.unplug();
  await ended;
  expect(await toolstack.states()).toEqual(['6', '6']);
  expect(machine.accounting(host.id)?.mappings).toBe(0);
  await toolstack.clean();
});

it('a frontend that breaks the protocol is closed, its error is in xenstore, and a fresh one connects', async () => {
  const { front, back } = await attached();
  const node = async (name: string) => Number(await host.store.read(`${toolstack.front}/${name}`));
  const ref = grantRef(await node('tx-ring-ref'));
  const port = eventChannelPort(await node('event-channel'));
  // The test plays the frontend's own page being scribbled over: the request index jumps.
  const mapping = host.foreign.map(guest.id, [ref], 'readwrite');
  if (typeof mapping === 'number') throw new Error(`map: ${mapping}`);
  Atomics.store(mapping.area.words, mapping.area.base >> 2, 5000);
  mapping.unmap();
  const closed = Promise.all([reached(front, CLOSED), reached(back, CLOSED)]);
  guest.events.notify(port);
  await closed;
  const error = await host.store.read(`error/backend/vif/${guest.id}/0/error`);
  expect(error).toBe('71 TX request index out of range');
  expect(back.error?.code).toBe('EPROTO');
  expect(machine.accounting(host.id)?.mappings).toBe(0);
  frontends.resume();
  await expect.poll(() => backends.connections.map(({ state }) => state)).toEqual([CONNECTED]);
  const [again] = frontends.devices;
  let arrived = 0;
  back.device.frames$.subscribe(() => {
    arrived += 1;
  });
  expect(again?.send(new Uint8Array(60))).toBe(true);
  await machine.idle();
  expect(arrived).toBe(1);
  expect(await host.store.tryRead(`error/backend/vif/${guest.id}/0/error`)).toBeUndefined();
});

it('frames sent before the backend has bound are delivered', async () => {
  const connections = firstValueFrom(frontends.connections$);
  const backConnections = firstValueFrom(backends.connections$);
  let arrived = 0;
  void backConnections.then(({ device }) =>
    device.frames$.subscribe(() => {
      arrived += 1;
    }),
  );
  await toolstack.attach();
  const front = await connections;
  let sent = 0;
  front.state$.subscribe(() => {
    if (front.device.send(new Uint8Array(60))) sent += 1;
  });
  await reached(front, CONNECTED);
  await reached(await backConnections, CONNECTED);
  await machine.idle();
  expect(arrived).toBe(sent);
});

it('a guest destroyed with frames in flight leaves nothing behind, and the others run on', async () => {
  const { front, back } = await attached();
  const other = machine.createDomain();
  const otherFrontends = bindFrontends(other, netfrontDriver());
  const otherToolstack = new HandToolstack(host, other);
  const otherBack = firstValueFrom(backends.connections$.pipe());
  await otherToolstack.attach();
  const otherFront = await firstValueFrom(otherFrontends.connections$);
  await reached(otherFront, CONNECTED);
  expect(await otherBack).toBe(back);
  const survivor = backends.connections.find((connection) => connection !== back);
  if (survivor === undefined) throw new Error('no second backend');
  const counts = countsOf(otherFront.device, survivor.device);

  for (let index = 0; index < 100; index += 1) {
    front.device.send(new Uint8Array(1514));
    back.device.send(new Uint8Array(1514));
  }
  machine.destroyDomain(guest.id);
  expect(back.device.send(new Uint8Array(60))).toBeTypeOf('boolean');
  await machine.idle();
  await toolstack.clean();
  await expect.poll(() => backends.connections.length).toBe(1);
  expect(machine.accounting(host.id)?.mappings).toBe(2);

  expect(otherFront.device.send(new Uint8Array(60))).toBe(true);
  expect(survivor.device.send(new Uint8Array(60))).toBe(true);
  await machine.idle();
  expect(counts).toEqual({ toHost: 1, toGuest: 1 });
  await otherFrontends.close();
});

it('attached and unplugged over and over, nothing grows', async () => {
  const held = () => ({
    host: host.memory.freePages,
    guest: guest.memory.freePages,
    refs: guest.grants.freeRefs,
    ports: [machine.accounting(host.id)?.ports, machine.accounting(guest.id)?.ports],
  });
  let first: ReturnType<typeof held> | undefined;
  for (let round = 0; round < 20; round += 1) {
    const { front, back } = await attached();
    front.device.send(new Uint8Array(60));
    const ended = Promise.all([reached(front, CLOSED), reached(back, CLOSED)]);
    await toolstack.unplug();
    await ended;
    await toolstack.clean();
    await expect.poll(() => [frontends.connections.length, backends.connections.length]).toEqual([0, 0]);
    first ??= held();
    expect(held()).toEqual(first);
  }
});

it('the rate node limits the guest, changes at once and can be lifted', async () => {
  const { front, back } = await attached({ back: { rate: '1000,100000000' } });
  const counts = countsOf(front.device, back.device);
  for (let index = 0; index < 5; index += 1) front.device.send(new Uint8Array(600));
  await machine.idle();
  expect(counts.toHost).toBe(1);
  await host.store.write(`${toolstack.back}/rate`, '1200,100000000');
  await expect.poll(() => counts.toHost).toBe(3);
  await host.store.remove(`${toolstack.back}/rate`);
  await expect.poll(() => counts.toHost).toBe(5);
});
