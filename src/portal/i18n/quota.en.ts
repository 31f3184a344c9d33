/** Words of the pages about quotas. */
export const quotaEn = {
  usageTitle: 'Usage',
  usageLead: 'What is left of every quota that holds for you. The strictest decides.',
  quotasTitle: 'Quotas',
  quotasLead:
    'Each change asks for a code of its own and holds from the next request on. Whoever has no limit of his own or of his role is refused.',
  quotaScope: 'For',
  quotaKind: 'Limit on',
  quotaAmount: 'Amount',
  quotaRaise: 'Raised',
  quotaRaiseTo: 'Raise to (optional)',
  quotaRaiseUntil: 'Until',
  quotaDryRun: 'Dry run: count and report, never refuse',
  quotaIsDryRun: 'dry run',
  quotaLeft: 'Left',
  quotaUsed: 'Used',
  quotaAnew: 'Begins anew',
  quotaSet: 'Set quota',
  quotaClear: 'Take away',
  quotaScopeHint: 'user:ID, key:ID, role:NAME, department:NAME or model:ID',
  quotaShared: 'shared with others',
  quotaUntil: (amount: string, until: string): string => `${amount} until ${until}`,
  quotaKinds: {
    requests_day: 'Requests per day',
    tokens_day: 'Tokens per day',
    requests_minute: 'Requests per minute',
    tokens_minute: 'Tokens per minute',
    concurrent: 'Requests at a time',
  },
  quotaScopes: { user: 'You', key: 'This key', department: 'Department', model: 'Model' },
};

export type QuotaDictionary = typeof quotaEn;
