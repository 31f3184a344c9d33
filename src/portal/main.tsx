import { render } from 'preact';
import { App } from './app.tsx';
import { LanguageProvider } from './i18n/language.tsx';

const root = document.getElementById('app');
if (root !== null)
  render(
    <LanguageProvider>
      <App />
    </LanguageProvider>,
    root,
  );
