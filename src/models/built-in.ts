/** The model that answers on the first start, with nothing configured. Paths are relative to the program's own folder. */
export const BUILT_IN_MODEL = {
  id: 'demo',
  file: 'models/demo/demo.gguf',
  sha256: '53ec38afa3fc8abf31ecdef01054d619bbf516d67814b5e3bdfb313f1ac52010',
  chatTemplateFile: 'models/demo/chat-template.jinja',
  contextSize: 1024,
  parallel: 4,
  maxOutputTokens: 512,
} as const;
