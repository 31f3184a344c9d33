/** What a user does about his own account, and the rarer ways in, in one file for the browser (offices.ts says why). */
export { PasskeySignIn } from '#portal/parts/passkey-sign-in.tsx';
export { ProviderSignIn } from '#portal/parts/provider-sign-in.tsx';
export { StepUpDialog } from '#portal/parts/step-up-dialog.tsx';
export { ConfirmPage } from './confirm.tsx';
export { EnrolPage } from './enrol.tsx';
export { FactorPage } from './factor.tsx';
export { PasskeyPage } from './passkey.tsx';
export { RecoveryPage } from './recovery.tsx';
export { SecurityPage } from './security.tsx';
