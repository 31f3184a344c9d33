import type { Decision } from '#kernel/gate.ts';
import type { Principal } from '#kernel/principal.ts';

type Fact = string | number | boolean | null | readonly string[];

/**
 * What a record keeps of a decision: the rule and the version that decided, and all that they looked at, so that another
 * policy can be asked the same question later. The address and the time of the record stand beside.
 */
export function decisionFacts(principal: Principal, decision: Decision): Record<string, Fact> {
  const { attributes, roles, restricted, mustChangePassword = false, strength } = principal;
  const { policyVersion, rule, conditions, because, resource } = decision;
  return {
    roles,
    department: attributes.department,
    clearance: attributes.clearance,
    ...(attributes.branch === '' ? {} : { branch: attributes.branch }),
    ...(attributes.certifications.length === 0 ? {} : { certifications: attributes.certifications }),
    ...(restricted ? { restricted } : {}),
    ...(mustChangePassword ? { expired: true } : {}),
    strength,
    ...(resource === null || resource.classification === 0 ? {} : { classification: resource.classification }),
    ...(resource === null || resource.owner === '' ? {} : { owner: resource.owner }),
    policy_version: policyVersion,
    rule,
    ...(conditions === null ? {} : { conditions }),
    ...(because === 'policy' ? {} : { decided_by: because }),
  };
}
