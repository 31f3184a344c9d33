import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useText } from '#portal/i18n/language.tsx';
import { Refusal } from '#portal/refusal.ts';
import { RefusalNotice } from './notice.tsx';

let styles: Promise<void> | null = null;

/** What is seen after signing in and beside asking has its styles in one more file, which comes with the first of it. */
export async function withStyles<T>(loading: Promise<T>): Promise<T> {
  styles ??= new Promise((resolve, reject) => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = 'offices.css';
    link.onload = () => resolve();
    link.onerror = reject;
    document.head.append(link);
  });
  const [loaded] = await Promise.all([loading, styles]);
  return loaded;
}

/** A page that comes with its own file when it is first opened, so that signing in and asking stay light. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let Loaded: ComponentType<P> | null = null;
  return function Lazy(props: P) {
    const text = useText();
    const [state, setState] = useState<'loading' | 'here' | 'failed'>('loading');
    useEffect(() => {
      if (Loaded !== null) return;
      load().then(
        (component) => {
          Loaded = component;
          setState('here');
        },
        () => setState('failed'),
      );
    }, []);
    if (Loaded !== null) return <Loaded {...props} />;
    // A failed import stays failed in this document: after an upgrade the file has another name.
    if (state === 'failed')
      return (
        <div class="splash">
          <RefusalNotice refusal={new Refusal('offline')} onRetry={() => location.reload()} />
        </div>
      );
    return <p class="empty">{text.loading}</p>;
  };
}
