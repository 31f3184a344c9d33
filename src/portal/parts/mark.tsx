/** The vault's wheel: the same drawing as mark.svg, in the ink around it. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" class="mark-door" />
      <circle cx="16" cy="16" r="7.4" />
      <path d="M16 16V11.6M16 16l3.8 2.2M16 16l-3.8 2.2M16 4.6v2M16 25.4v2M4.6 16h2M25.4 16h2" />
    </svg>
  );
}

const ICONS = {
  check: 'M3.5 8.5l3 3 6-7',
  cross: 'M4 4l8 8M12 4l-8 8',
  alert: 'M8 2.2 14.2 13H1.8ZM8 6.4v3M8 11v.6',
  copy: 'M5.5 5.5h7v8h-7zM10.5 5.5v-3h-7v8h2',
  stop: 'M4.5 4.5h7v7h-7z',
  send: 'M8 13V3M3.5 7.5 8 3l4.5 4.5',
  down: 'M8 3v10M3.5 8.5 8 13l4.5-4.5',
  next: 'M6 3l5 5-5 5',
  previous: 'M10 3 5 8l5 5',
  plus: 'M8 3v10M3 8h10',
  key: 'M9.2 6.8a3.2 3.2 0 1 1 0-.1ZM9 7.2l5 .1v2.2M11.6 7.3v1.6',
  door: 'M3 8h7.5M7.5 5l3 3-3 3M9 2.5h4v11H9',
  person: 'M8 8.2a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2ZM2.8 14c.5-2.6 2.6-4 5.2-4s4.7 1.4 5.2 4',
} as const;

export function Icon({ name }: { readonly name: keyof typeof ICONS }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}
