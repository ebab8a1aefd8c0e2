import type { SimulatedDomain } from '@netchannel2/hypervisor';
import type { XenStore, XenStoreOperations } from '@netchannel2/xen';

/**
 * Has a domain's drivers tell which xenbus states they wrote: once the transaction is through, and before they go on.
 *
 * @param concerns whether a path below the domain's home is of interest.
 */
export function tapStates(
  domain: SimulatedDomain,
  concerns: (path: string) => boolean,
  wrote: (state: string) => void,
): void {
  const { store } = domain;
  const home = `/local/domain/${domain.id}/`;
  const tapped: Pick<XenStore, 'transaction'> = {
    transaction: async (body, options) => {
      let states: string[] = [];
      const result = await store.transaction((transaction) => {
        states = [];
        const write: XenStoreOperations['write'] = (path, value) => {
          const own = path.startsWith(home) && concerns(path.slice(home.length));
          if (own && path.endsWith('/state')) states.push(String(value));
          return transaction.write(path, value);
        };
        return body(override(transaction, { write }));
      }, options);
      for (const state of states) wrote(state);
      return result;
    },
  };
  Object.defineProperty(domain, 'store', { value: override(store, tapped), configurable: true });
}

/** `target` with some of its members replaced. */
function override<Target extends object>(target: Target, members: Partial<Target>): Target {
  return new Proxy(target, {
    get(inner, name) {
      if (name in members) return Reflect.get(members, name);
      const value: unknown = Reflect.get(inner, name);
      return typeof value === 'function' ? value.bind(inner) : value;
    },
  });
}
