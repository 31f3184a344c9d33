import { type ComponentChildren, createContext } from 'preact';
import { useContext, useEffect, useMemo, useState } from 'preact/hooks';
import { type Dictionary, en } from './en.ts';
import { zh } from './zh.ts';

export type Language = 'en' | 'zh';

const DICTIONARIES: Record<Language, Dictionary> = { en, zh };
const TAGS: Record<Language, string> = { en: 'en', zh: 'zh-Hans' };
const MEMORY = 'strongroom.language';

interface Tongue {
  readonly language: Language;
  readonly text: Dictionary;
  readonly choose: (language: Language) => void;
}

const Context = createContext<Tongue>({ language: 'en', text: en, choose: () => {} });

/** What was chosen before, else what the browser asks for. Storage may be forbidden; then nothing is remembered. */
function firstLanguage(): Language {
  try {
    const remembered = localStorage.getItem(MEMORY);
    if (remembered === 'en' || remembered === 'zh') return remembered;
  } catch {}
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

export function LanguageProvider({ children }: { readonly children: ComponentChildren }) {
  const [language, setLanguage] = useState(firstLanguage);
  useEffect(() => {
    document.documentElement.lang = TAGS[language];
  }, [language]);
  const tongue = useMemo<Tongue>(
    () => ({
      language,
      text: DICTIONARIES[language],
      choose: (chosen) => {
        setLanguage(chosen);
        try {
          localStorage.setItem(MEMORY, chosen);
        } catch {}
      },
    }),
    [language],
  );
  return <Context.Provider value={tongue}>{children}</Context.Provider>;
}

export const useTongue = (): Tongue => useContext(Context);
export const useText = (): Dictionary => useContext(Context).text;
