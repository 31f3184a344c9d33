/** The words around passwords, second factors and sessions; they come with the pages that need them. */
export const safetyEn = {
  stepUp: 'Confirm with a code',
  stepUpWhy: 'The code confirms this one operation and nothing else.',
  stepUpSend: 'Confirm',
  codeWrong: 'This code is not right. Codes change every 30 seconds; look at the clock of the device.',

  changePassword: 'Change password',
  passwordCurrent: 'Current password',
  passwordNew: 'New password',
  passwordRepeat: 'New password again',
  passwordHint: (length: number) => `${length} characters or more. Any characters; a sentence is good.`,
  passwordDiffers: 'The two new passwords are not the same.',
  passwordWhy: 'This ends every session of your account, this one too.',
  passwordWrong: 'The current password is not right.',
  passwordRefused: 'This password will not do.',
  passwordRules: 'What a password needs',
  passwordRuleList: [
    'At least 15 characters, or 8 if your account has a second factor',
    'Any characters, spaces too: a sentence is easy to keep in mind',
    'Nothing common, and neither your username nor “strongroom” in it',
  ],

  enrolTitle: 'Welcome',
  enrolLead: 'Choose the password of your new account. Nobody else knows it, not even your administrator.',
  enrolSend: 'Set password',
  enrolSpent: 'This link has been used or is over. Ask your administrator for a new one.',
  enrolCut: 'This link is not complete. Copy the whole of it, or ask your administrator for a new one.',
  enrolOther: 'To the sign-in',

  securityLead: 'How your account is protected, and where it is signed in.',
  factor: 'Second factor',
  factorOn: 'Set up',
  factorOff: 'Not set up',
  factorOnWhy: 'Signing in and every change of importance ask for a code of your authenticator app.',
  factorOffWhy:
    'An authenticator app on your telephone gives a code at each sign-in: a stolen password alone opens nothing.',
  factorSetUp: 'Set up second factor',
  factorReplace: 'Replace second factor',
  factorLead: 'An authenticator app on your telephone gives a new code every 30 seconds.',
  factorMust:
    'Your role needs a second factor before anything else. It takes two minutes and a telephone with an authenticator app.',
  factorBeginTitle: 'First, that it is you',
  factorNeeds: 'Nothing changes before you have given a code of the new authenticator.',
  factorReplaceWhy:
    'You confirm with a code of the present authenticator. It and its recovery codes work until the new one is in force.',
  factorBegin: 'Continue',
  factorQr: 'QR code for the authenticator app',
  factorScan: 'Scan this with the app',
  factorScanHow: 'In the authenticator app: add an account, scan a QR code.',
  factorHere: 'The app is on this device: open it',
  factorByHand: 'Or type this key in:',
  factorSecret: 'Key',
  factorFacts: (digits: number, period: number) => `Time-based, ${digits} digits, ${period} seconds`,
  factorProve: 'Then prove that it works',
  factorThen: 'All your sessions end, this one too, and you get ten recovery codes.',
  factorThenReplaced:
    'All your sessions end, this one too; the former authenticator and its recovery codes stop working.',
  factorActivate: 'Put in force',
  factorNames: { password: 'Password', totp: 'Authenticator', 'recovery code': 'Recovery code' },

  recoveryTitle: 'Recovery codes',
  recoveryDone: 'Your second factor is in force.',
  recoveryWhy:
    'Each of these signs you in once, in place of a code, when the telephone is lost. Keep them where the telephone is not. They are not shown again.',
  recoveryFileHead: (username: string, host: string) =>
    `Strongroom recovery codes for ${username} at ${host}\nEach works once, in place of a code at sign-in.`,
  recoveryKept: 'I have kept them',
  download: 'Download',

  passwordExpired: 'Your password is older than your house allows. Choose a new one to go on.',
  passwordLead: 'Changing it ends every session of your account.',
  sessions: 'Where you are signed in',
  sessionThis: 'This session',
  sessionOther: 'Another session',
  sessionSince: 'Since',
  sessionSeen: 'Last seen',
  sessionEnds: 'Ends at the latest',
  sessionEnd: 'End',
};

export type SafetyDictionary = typeof safetyEn;
