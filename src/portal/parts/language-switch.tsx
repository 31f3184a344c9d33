import { useTongue } from '#portal/i18n/language.tsx';

export function LanguageSwitch() {
  const { language, text, choose } = useTongue();
  return (
    <fieldset class="switch">
      <legend class="unseen">{text.languageName}</legend>
      <button
        type="button"
        lang="en"
        aria-label="EN, English"
        aria-pressed={language === 'en'}
        onClick={() => choose('en')}
      >
        EN
      </button>
      <button type="button" lang="zh-Hans" aria-pressed={language === 'zh'} onClick={() => choose('zh')}>
        中文
      </button>
    </fieldset>
  );
}
