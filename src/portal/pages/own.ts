/** What a user does about his own account, in one file for the browser (offices.ts says why). */
export { EnrolPage } from './enrol.tsx';
export { FactorPage } from './factor.tsx';
export { RecoveryPage } from './recovery.tsx';
export { SecurityPage } from './security.tsx';
