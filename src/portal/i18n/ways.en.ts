/** Words around the other ways to sign in and to confirm; they come with what needs them. */
export const waysEn = {
  or: 'or',
  passkeyUse: 'Use your passkey',
  passkeyUseHint: 'This device, a telephone nearby or a security key answers. No other site can ask it.',
  passkeyWrong: 'The passkey’s answer was not taken. Try once more, or use another way.',

  provider: 'Sign in with your organisation',
  providerErrors: {
    failed: 'The sign-in with your organisation was not completed. Try again.',
    refused: 'Your organisation’s account may not come in here. Ask your administrator.',
    unavailable: 'Your organisation’s sign-in can’t be reached. Try again in a moment.',
  },
  breakGlass: 'Break-glass: administrator with a password',

  confirmTitle: 'One more step',
  confirmLead: 'Your organisation signed you in with one factor. Your role needs a second one.',
  confirmSend: 'Confirm',
  confirmWrong: 'This code is not right. Codes change every 30 seconds; look at the clock of the device.',
};

export type WaysDictionary = typeof waysEn;
