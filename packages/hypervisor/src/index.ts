export type { GrantEntryRecord, GrantTableRecord, GrantUse } from '@netchannel2/grant-table';
export type { Leak } from './accounting/leaks';
export { SimulatedDomain } from './guest/simulated-domain';
export { type DomainCrash, Machine } from './machine';
export type { DomainOptions, GrantTableCommandLine, MachineOptions } from './machine-options';
export { InProcessStore } from './store/in-process-store';
export type { StoreService } from './store/store-service';
export { type DomainHandle, transferList } from './workers/domain-handle';
export { type JoinedDomain, joinMachine } from './workers/join-machine';
