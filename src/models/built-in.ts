/** The model that answers on the first start, with nothing configured. Paths are relative to the program's own folder. */
export const BUILT_IN_MODEL = {
  id: 'demo',
  file: 'models/demo/demo.gguf',
  sha256: '1df134834b7dbd7f07232ec86e7104b9b23cc8f84fbbf6db11d01c51e2291bdf',
  chatTemplateFile: 'models/demo/chat-template.jinja',
  contextSize: 4096,
  parallel: 4,
  maxOutputTokens: 1024,
} as const;
