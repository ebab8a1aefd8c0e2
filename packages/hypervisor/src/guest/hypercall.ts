/** `grant_table_op` as one domain makes it: 0 or a negative errno; elements carry statuses of their own. */
export type GrantHypercall = (command: number, address: number, count: number) => number;
