-- Policies as a bank changes them: numbered versions with a reason, and what certifications and owners policy asks for.
ALTER TABLE account ADD COLUMN certifications text[] NOT NULL DEFAULT '{}';
ALTER TABLE policy_version
  ADD COLUMN reason   text NOT NULL DEFAULT '',
  ADD COLUMN restored bigint REFERENCES policy_version (version);  -- the version whose content it brought back

-- The next version, if `after` is still the one in force: of two admins at once one is told so. Whoever listens need not
-- wait for his next request to learn of it; whoever lost the message learns of it there, at admission.
CREATE FUNCTION change_policy_import(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO policy_version (version, model, policy, sha256, created_by, created_at, reason, restored)
    SELECT coalesce(max(version), 0) + 1, c->>'model', c->>'policy', c->>'sha256', c->>'by', p_now,
           coalesce(c->>'reason', ''), (c->>'restored')::bigint
    FROM policy_version HAVING coalesce(max(version), 0) = (c->>'after')::bigint;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'version_conflict' END;
  IF o_ok THEN PERFORM pg_notify('strongroom_policy', ''); END IF;
END $$;

-- What an account is certified for, beside the changes that are there: a name handed on, then the list.
CREATE FUNCTION change_account_invite(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  SELECT * INTO o_ok, o_code, o_detail FROM apply_named_change('account.invite', c, p_now);
  IF o_ok THEN PERFORM certify_account(c); END IF;
END $$;
CREATE FUNCTION change_account_update(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  SELECT * INTO o_ok, o_code, o_detail FROM apply_named_change('account.update', c, p_now);
  IF o_ok THEN PERFORM certify_account(c); END IF;
END $$;
CREATE FUNCTION certify_account(c json) RETURNS void LANGUAGE sql VOLATILE AS $$
  UPDATE account SET certifications = ARRAY(SELECT json_array_elements_text(c->'certifications'))
  WHERE id = c->>'id' AND json_typeof(c->'certifications') = 'array'
$$;

CREATE FUNCTION list_policies() RETURNS TABLE (version bigint, sha256 text, created_by text, created_at timestamptz, reason text, restored bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT version, sha256, created_by, created_at, reason, restored FROM policy_version ORDER BY version DESC
$$;

CREATE FUNCTION find_policy(p_version bigint) RETURNS TABLE (version bigint, model text, policy text, sha256 text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT version, model, policy, sha256 FROM policy_version WHERE version = p_version
$$;

-- Accounts as policy sees them: to explain a decision, and to refuse a policy that nobody could change again.
CREATE FUNCTION policy_accounts() RETURNS TABLE (id text, username text, roles text[], department text, clearance integer,
  branch text, certifications text[], has_factor boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, username, roles, department, clearance, branch, certifications, totp_secret IS NOT NULL OR has_passkey(id)
  FROM account WHERE disabled_at IS NULL ORDER BY username
$$;

DROP FUNCTION find_principal(text, text);
CREATE FUNCTION find_principal(p_kind text, p_ref text)
RETURNS TABLE (subject text, username text, roles text[], department text, clearance integer, branch text, certifications text[],
               has_totp boolean, epoch bigint, credential text, expires_at timestamptz, models text[], actions text[], factors text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT a.id, a.username, a.roles, a.department, a.clearance, a.branch, a.certifications, a.totp_secret IS NOT NULL, a.epoch,
         s.ref, s.expires_at, NULL::text[], NULL::text[], s.factors
  FROM session s JOIN account a ON a.id = s.account_id
  WHERE p_kind = 'session' AND s.ref = p_ref AND s.ended_at IS NULL AND s.expires_at > now()
    AND s.last_seen_at + make_interval(secs => s.idle_seconds) > now() AND a.disabled_at IS NULL
  UNION ALL
  SELECT a.id, a.username, a.roles, a.department, a.clearance, a.branch, a.certifications, a.totp_secret IS NOT NULL, a.epoch,
         k.id, k.expires_at, k.models, k.actions, '{}'::text[]
  FROM api_key k JOIN account a ON a.id = k.account_id
  WHERE p_kind = 'api_key' AND k.secret_hash = p_ref AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > now()) AND a.disabled_at IS NULL
$$;

DROP FUNCTION list_accounts();
CREATE FUNCTION list_accounts() RETURNS TABLE (id text, username text, roles text[], department text, clearance integer,
  branch text, certifications text[], has_password boolean, has_totp boolean, disabled boolean, created_at timestamptz,
  last_sign_in_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, username, roles, department, clearance, branch, certifications,
         password_hash IS NOT NULL OR external_subject IS NOT NULL, totp_secret IS NOT NULL, disabled_at IS NOT NULL,
         created_at, last_sign_in_at FROM account ORDER BY username
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_policies(), find_policy(bigint), policy_accounts(), find_principal(text, text), list_accounts()
  TO strongroom_app;
