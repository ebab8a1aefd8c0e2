/**
 * Identifiers of the Xen ABI as branded numbers: they cost nothing at run time and cannot be mixed up.
 *
 * @packageDocumentation
 */

declare const unit: unique symbol;
type Branded<Unit extends string> = number & { readonly [unit]: Unit };

/** A domain id, 0 … 0x7FEF, or one of the reserved {@link DOMID_SELF} and friends (`public/xen.h`). */
export type DomainId = Branded<'DomainId'>;
/** A grant reference: the index of an entry in the granting domain's grant table (`public/grant_table.h`). */
export type GrantRef = Branded<'GrantRef'>;
/** The handle of one mapping, private to the mapping domain. */
export type GrantHandle = Branded<'GrantHandle'>;
/** An event-channel port, private to a domain; ordinary ports start at 1. */
export type EventChannelPort = Branded<'EventChannelPort'>;
/** A guest frame number: a page of a domain's own (pseudo-)physical address space. */
export type GuestFrame = Branded<'GuestFrame'>;
/** A byte offset inside one page, 0 … 4095. */
export type PageOffset = Branded<'PageOffset'>;

export const domainId = (value: number): DomainId => value as DomainId;
export const grantRef = (value: number): GrantRef => value as GrantRef;
export const grantHandle = (value: number): GrantHandle => value as GrantHandle;
export const eventChannelPort = (value: number): EventChannelPort => value as EventChannelPort;
export const guestFrame = (value: number): GuestFrame => value as GuestFrame;
export const pageOffset = (value: number): PageOffset => value as PageOffset;

/** First id that is not an ordinary domain (`DOMID_FIRST_RESERVED`). */
export const DOMID_FIRST_RESERVED = domainId(0x7ff0);
/** The calling domain, where an operation accepts it. */
export const DOMID_SELF = domainId(0x7ff0);
export const DOMID_IO = domainId(0x7ff1);
export const DOMID_XEN = domainId(0x7ff2);
export const DOMID_COW = domainId(0x7ff3);
export const DOMID_INVALID = domainId(0x7ff4);
/** Any domain, in xenstore permissions of newer daemons. */
export const DOMID_ANY = domainId(0x7ff5);
export const DOMID_IDLE = domainId(0x7fff);

/** What `GrantEntries.allocate` answers when the table is full. */
export const NO_GRANT_REF = grantRef(-1);

/** Bytes of a page, on every machine Xen's interfaces describe. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
