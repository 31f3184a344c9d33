import { ROLES } from '#kernel/principal.ts';
import { prepared, type Queryable } from '#postgres/pool.ts';
import type { FederatedAccountStore } from './oidc.ts';

interface FederatedRow {
  id: string;
  roles: string[];
  department: string;
  clearance: number;
  branch: string;
  epoch: string;
  disabled: boolean;
}

const FIND_FEDERATED = prepared<FederatedRow>('find_federated', 'SELECT * FROM strongroom.find_federated($1)');

export function postgresFederatedAccounts(pool: Queryable): FederatedAccountStore {
  return {
    findFederated: async (externalSubject) => {
      const [row] = (await FIND_FEDERATED(pool, externalSubject)).rows;
      if (row === undefined) return null;
      return { ...row, roles: ROLES.filter((role) => row.roles.includes(role)), epoch: Number(row.epoch) };
    },
  };
}
