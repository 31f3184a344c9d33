import type { Dictionary } from './en.ts';
import { type Language, useTongue } from './language.tsx';

const count = (value: number, language: string): string => value.toLocaleString(language);

const en = {
  scoreTitle: 'Score customers that the gateway can’t see',
  scoreLead:
    'Features are encrypted in this browser, with a key that never leaves it. The gateway computes on ciphertexts and sends back encrypted scores; only this page can read them.',
  scoreModel: 'Model',
  scoreVersion: (version: number) => `version ${version}`,
  scoreNone: 'Policy gives you no score model yet, or scoring is off here.',
  scoreBatch: 'A file of customers',
  scoreDrop: 'Drop a CSV file here, or choose one',
  scoreChoose: 'Choose a file',
  scoreColumns: 'Columns the file must have',
  scoreOne: 'One customer',
  scoreGo: 'Encrypt and score',
  scoreWorking: 'Encrypting, scoring, decrypting…',
  scoreProgress: (done: number, all: number) => `${count(done, 'en')} of ${count(all, 'en')} customers`,
  scoreStop: 'Stop',
  scoreResult: 'Score',
  scoreResults: 'Ranked scores',
  scoreSummary: (customers: number, seconds: string, megabytes: string) =>
    `${count(customers, 'en')} customers in ${seconds} s; ${megabytes} MB of ciphertext went to the gateway.`,
  scoreHistogram: 'How the scores are spread',
  scoreBin: (from: string, to: string, customers: number) => `${from} to ${to}: ${count(customers, 'en')}`,
  scoreCustomer: 'Customer',
  scoreRank: 'Rank',
  scoreFirst: (shown: number) => `The first ${count(shown, 'en')}; the file has all.`,
  scoreDownload: 'Download as CSV',
  scoreAgain: 'Score others',
  scoreNotes: 'What this protects, and what it does not',
  scoreProtects: [
    'The gateway, its memory and its log never hold a feature or a score; the audit record has digests and counts.',
    'The secret key is made anew for each visit to this page and ends with it. Scores are rounded to the model’s digits, because two full-precision lists would tell the key to whoever kept the ciphertexts. Do not look for more digits.',
    'It does not hide the model: whoever may query a linear model with n features learns it with n + 1 questions.',
    'It does not prove that the gateway used the right model; for that there are TLS, the audit log and the model’s digest.',
  ],
  scoreProvenance: 'About the model',
  scoreDigest: 'SHA-256 of the model',
  faults: {
    empty: 'The file holds no customers.',
    missing_column: 'The file has no column',
    cells: 'This line has another number of cells than the first one:',
    not_a_number: 'This is no number:',
    quotes: 'A quotation mark is not closed in line',
    too_many: 'The file holds more than a million customers.',
    failed: 'This browser could not do the encryption. A current one with WebAssembly is needed.',
  } as Record<string, string>,
  faultAt: (line: number, column: string) =>
    [line > 0 ? `line ${line}` : '', column].filter((part) => part !== '').join(', '),
};
export type ScoringDictionary = typeof en;

const zh: ScoringDictionary = {
  scoreTitle: '为网关看不见的客户评分',
  scoreLead: '客户特征在本浏览器内加密，密钥绝不离开浏览器。网关只对密文进行计算并返回加密的分数，只有本页面能够解读。',
  scoreModel: '模型',
  scoreVersion: (version) => `第 ${version} 版`,
  scoreNone: '访问策略尚未向您开放评分模型，或此处未启用评分。',
  scoreBatch: '客户文件',
  scoreDrop: '将 CSV 文件拖到此处，或选择文件',
  scoreChoose: '选择文件',
  scoreColumns: '文件必须包含的列',
  scoreOne: '单个客户',
  scoreGo: '加密并评分',
  scoreWorking: '正在加密、评分、解密…',
  scoreProgress: (done, all) => `已完成 ${count(done, 'zh')} / ${count(all, 'zh')} 位客户`,
  scoreStop: '停止',
  scoreResult: '分数',
  scoreResults: '分数排序',
  scoreSummary: (customers, seconds, megabytes) =>
    `${count(customers, 'zh')} 位客户，用时 ${seconds} 秒；共向网关发送 ${megabytes} MB 密文。`,
  scoreHistogram: '分数分布',
  scoreBin: (from, to, customers) => `${from} 至 ${to}：${count(customers, 'zh')} 位`,
  scoreCustomer: '客户',
  scoreRank: '名次',
  scoreFirst: (shown) => `显示前 ${count(shown, 'zh')} 位；下载文件包含全部客户。`,
  scoreDownload: '下载 CSV',
  scoreAgain: '为其他客户评分',
  scoreNotes: '保护什么，不保护什么',
  scoreProtects: [
    '网关及其内存和日志中从不出现客户特征或分数；审计记录只保存摘要和数量。',
    '每次打开本页都会生成新的密钥，离开即销毁。分数按模型规定的位数取整，因为两份全精度的分数就足以让持有密文的人推出密钥。请勿索取更多位数。',
    '它不隐藏模型：有权查询的人只需 n + 1 次提问即可得到含 n 个特征的线性模型。',
    '它不证明网关使用了正确的模型；这由 TLS、审计日志和模型摘要保证。',
  ],
  scoreProvenance: '关于该模型',
  scoreDigest: '模型的 SHA-256',
  faults: {
    empty: '文件中没有客户。',
    missing_column: '文件缺少列',
    cells: '此行的单元格数量与首行不同：',
    not_a_number: '此处不是数字：',
    quotes: '引号未闭合，行号',
    too_many: '文件中的客户超过一百万。',
    failed: '本浏览器无法完成加密，需要支持 WebAssembly 的新版浏览器。',
  },
  faultAt: (line, column) => [line > 0 ? `第 ${line} 行` : '', column].filter((part) => part !== '').join('，'),
};

const WORDS: Record<Language, ScoringDictionary> = { en, zh };

export function useScoringText(): Dictionary & ScoringDictionary {
  const { language, text } = useTongue();
  return { ...text, ...WORDS[language] };
}
