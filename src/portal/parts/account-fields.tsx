import { type AccountDraft, ROLE_NAMES } from '#portal/account.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { Choices } from './choices.tsx';
import { Field } from './field.tsx';

const CLEARANCES = [0, 1, 2, 3, 4];

interface Props {
  readonly draft: AccountDraft;
  readonly onDraft: (draft: AccountDraft) => void;
}

export function AccountFields({ draft, onDraft }: Props) {
  const text = useOfficeText();
  return (
    <>
      <Choices
        legend={text.userRoles}
        hint={text.userRolesHint}
        choices={ROLE_NAMES.map((role) => [role, text.roles[role]] as const)}
        chosen={draft.roles}
        onChosen={(roles) => onDraft({ ...draft, roles: [...roles] })}
      />
      <div class="form-pair">
        <Field
          label={text.department}
          maxLength={64}
          value={draft.department}
          onValue={(department) => onDraft({ ...draft, department })}
        />
        <Field
          label={text.branch}
          maxLength={64}
          value={draft.branch}
          onValue={(branch) => onDraft({ ...draft, branch })}
        />
      </div>
      <Field
        label={text.certifications}
        hint={text.certificationsHint}
        value={draft.certifications.join(' ')}
        onValue={(typed) => onDraft({ ...draft, certifications: typed === '' ? [] : typed.split(/[\s,]+/) })}
      />
      <div class="field">
        <label for="clearance">{text.clearance}</label>
        <select
          id="clearance"
          value={draft.clearance}
          onChange={(event) => onDraft({ ...draft, clearance: Number(event.currentTarget.value) })}
        >
          {CLEARANCES.map((level) => (
            <option key={level} value={level}>
              {text.clearances[level] ?? level}
            </option>
          ))}
        </select>
      </div>
    </>
  );
}
