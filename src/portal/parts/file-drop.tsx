import { useId, useState } from 'preact/hooks';
import { useScoringText } from '#portal/i18n/scoring.ts';

/** Takes one file: dropped, or chosen in the system's dialog. */
export function FileDrop({ onFile }: { readonly onFile: (file: File) => void }) {
  const text = useScoringText();
  const id = useId();
  const [over, setOver] = useState(false);
  const take = (files: FileList | null | undefined): void => {
    const file = files?.[0];
    if (file !== undefined) onFile(file);
  };
  return (
    <label
      for={id}
      class={over ? 'drop drop-over' : 'drop'}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer?.files);
      }}
    >
      <span>{text.scoreDrop}</span>
      <input
        id={id}
        class="drop-input"
        type="file"
        accept=".csv,text/csv"
        aria-label={text.scoreChoose}
        onChange={(event) => take(event.currentTarget.files)}
      />
    </label>
  );
}
