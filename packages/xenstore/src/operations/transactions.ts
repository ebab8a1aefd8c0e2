/**
 * TRANSACTION_START and TRANSACTION_END.
 *
 * @packageDocumentation
 */
import { exceeds } from '../quotas';
import { refuse } from '../refusal';
import { Transaction } from '../transaction';
import { OK, type Operation, type Request } from './context';

const MAX_ID = 0x7fffffff;

export const transactionStart: Operation = {
  serve({ connection, state, transactionId }: Request): string {
    if (transactionId !== 0) refuse('EBUSY');
    const { domain, quotas, transactions, privileged } = connection;
    if (!privileged && exceeds(domain.transactions + 1, quotas.transactions)) refuse('ENOSPC');
    let id = connection.nextTransactionId;
    while (transactions.has(id)) id = id === MAX_ID ? 1 : id + 1;
    connection.nextTransactionId = id === MAX_ID ? 1 : id + 1;
    transactions.set(
      id,
      new Transaction(state.tree, { nodes: privileged ? 0 : quotas['transaction-nodes'] }),
    );
    domain.transactions += 1;
    return `${id}\0`;
  },
};

export const transactionEnd: Operation = {
  serve({ connection, payload, state, transactionId }: Request): string {
    const transaction = connection.transactions.get(transactionId);
    if (payload !== 'T\0' && payload !== 'F\0') refuse('EINVAL');
    if (transaction === undefined) refuse('ENOENT');
    connection.transactions.delete(transactionId);
    connection.domain.transactions -= 1;
    if (payload === 'T\0') {
      const { domid, privileged, quotas } = connection;
      transaction.commit(
        state.changed,
        (owner, nodes) => privileged || owner !== domid || !exceeds(nodes, quotas.nodes),
      );
    }
    return OK;
  },
};
