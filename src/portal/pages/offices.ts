/**
 * The pages that a role opens beside asking, in one file for the browser. A file for each would tear what they share,
 * and what sign-in shares with them, into a dozen small ones, and the first sight of the portal would be heavier.
 */
export { AllKeysPage } from './all-keys.tsx';
export { AuditPage } from './audit.tsx';
export { KeysPage } from './keys.tsx';
export { ModelsPage } from './models.tsx';
export { PolicyPage } from './policy.tsx';
export { QuotasPage } from './quotas.tsx';
export { ReceiptPage } from './receipt.tsx';
export { UsersPage } from './users.tsx';
