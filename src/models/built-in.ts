/** The model that answers on the first start, with nothing configured. Paths are relative to the program's own folder. */
export const BUILT_IN_MODEL = {
  id: 'demo',
  file: 'models/demo/demo.gguf',
  sha256: 'e89f2e30d4fda35f5608d232eb84baf0d3f0a13087e2984a2b8c99221244dd51',
  chatTemplateFile: 'models/demo/chat-template.jinja',
  contextSize: 1024,
  parallel: 4,
  maxOutputTokens: 512,
} as const;
