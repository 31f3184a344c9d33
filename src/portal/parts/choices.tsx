interface Props<T extends string> {
  readonly legend: string;
  readonly hint?: string;
  readonly choices: readonly (readonly [value: T, label: string])[];
  readonly chosen: readonly T[];
  readonly onChosen: (chosen: readonly T[]) => void;
}

/** Any number of a few; what is chosen keeps the order in which it was offered. */
export function Choices<T extends string>({ legend, hint, choices, chosen, onChosen }: Props<T>) {
  const toggle = (value: T): void =>
    onChosen(
      choices
        .map(([known]) => known)
        .filter((known) => (known === value ? !chosen.includes(known) : chosen.includes(known))),
    );
  return (
    <fieldset class="choices">
      <legend>{legend}</legend>
      {choices.map(([value, label]) => (
        <label key={value}>
          <input type="checkbox" checked={chosen.includes(value)} onChange={() => toggle(value)} />
          <span>{label}</span>
        </label>
      ))}
      {hint !== undefined && <p class="hint">{hint}</p>}
    </fieldset>
  );
}
