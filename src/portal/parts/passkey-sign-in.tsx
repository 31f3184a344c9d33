import type { LoginResponse, User } from '#identity/identity.contract.ts';
import type { AssertionRequest, PasskeySignInRequest, RequestOptions } from '#identity/webauthn.contract.ts';
import { useApi } from '#portal/api.ts';
import { PasskeyButton } from './passkey-button.tsx';

interface Props {
  readonly username: string;
  readonly password: string;
  readonly or: boolean;
  readonly onSignedIn: (user: User) => void;
}

/** The passkey beside the password that was just right. */
export function PasskeySignIn({ username, password, or, onSignedIn }: Props) {
  const api = useApi();
  const begin: PasskeySignInRequest = { username, password };
  return (
    <PasskeyButton
      or={or}
      options={() => api.send<RequestOptions>('POST', '/auth/webauthn/sign-in/options', { body: begin })}
      onAnswer={async (assertion) => {
        const body: AssertionRequest = { assertion };
        onSignedIn((await api.send<LoginResponse>('POST', '/auth/webauthn/sign-in', { body })).user);
      }}
    />
  );
}
