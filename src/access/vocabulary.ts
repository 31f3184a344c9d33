/** Who can be named beside `role:NAME` and `user:ID`: everybody signed in, and whoever owes a second factor. */
export const OTHER_SUBJECTS = ['authenticated', 'restricted'] as const;

/**
 * Every action that a route asks for, and on which type of resource. A rule about anything else can never match, so
 * `policy check` refuses it; that this list is the route table's is a test.
 */
export const ACTIONS: Readonly<Record<string, string>> = {
  'audit.read': 'audit',
  'quotas.clear': 'directory',
  'quotas.set': 'directory',
  'quotas.list': 'directory',
  'audit.export': 'audit',
  'factor.prove': 'account',
  'holds.list': 'retention',
  'holds.place': 'retention',
  'holds.release': 'retention',
  infer: 'model',
  'key.create': 'account',
  'key.list': 'account',
  'key.revoke': 'account',
  'model.load': 'service',
  'model.pin': 'service',
  'model.unload': 'service',
  'model.unpin': 'service',
  'models.inspect': 'catalogue',
  'models.list': 'catalogue',
  'passkey.enrol': 'account',
  'passkey.list': 'account',
  'passkey.register': 'account',
  'passkey.remove': 'account',
  'passkey.rename': 'account',
  'password.set': 'account',
  'policy.read': 'policy',
  'policy.replay': 'audit',
  'policy.write': 'policy',
  'receipt.read': 'receipt',
  score: 'score_model',
  'score.end': 'scoring',
  'score_model.activate': 'service',
  'score_model.install': 'service',
  'session.confirm': 'session',
  'session.end': 'session',
  'session.read': 'session',
  'token.create': 'audience',
  'totp.activate': 'account',
  'totp.enrol': 'account',
  'usage.read': 'usage',
  'users.create': 'directory',
  'users.disable': 'directory',
  'users.enable': 'directory',
  'users.list': 'directory',
  'users.reset': 'directory',
  'users.update': 'directory',
};

export const RESOURCE_TYPES: ReadonlySet<string> = new Set(Object.values(ACTIONS));
