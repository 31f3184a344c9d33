-- Accounts of the house's own identity provider: who they are is decided there, at every sign-in.

-- Issuer and subject (OpenID Connect Core 1.0, section 2), a blank between. A local account has none, and no sign-in
-- through a provider ever gives it one: the same username is a reason to refuse, not to take over.
ALTER TABLE account ADD COLUMN external_subject text UNIQUE;

-- A sign-in that came back from the provider opens one session, on whichever replica.
CREATE TABLE federated_sign_in (
  ref     text PRIMARY KEY,                                      -- SHA-256 of its state, hex
  used_at timestamptz NOT NULL
);
CREATE INDEX federated_sign_in_used ON federated_sign_in (used_at);

-- `account.federate`: a new account (without `epoch`), or roles and attributes as the provider has them now, which ends
-- what was opened with the old ones.
CREATE FUNCTION federate_account(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF c->>'epoch' IS NULL THEN
    INSERT INTO account (id, username, roles, department, clearance, branch, external_subject, created_at)
      VALUES (c->>'id', c->>'username', ARRAY(SELECT json_array_elements_text(c->'roles')), c->>'department',
              (c->>'clearance')::integer, c->>'branch', c->>'external_subject', p_now)
      ON CONFLICT DO NOTHING;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'username_taken' END;
    IF o_ok THEN
      INSERT INTO actor_name (actor, name) VALUES (c->>'id', c->>'username');
    END IF;
  ELSE
    UPDATE account SET roles = ARRAY(SELECT json_array_elements_text(c->'roles')), department = c->>'department',
        clearance = (c->>'clearance')::integer, branch = c->>'branch', epoch = epoch + 1
      WHERE id = c->>'id' AND external_subject = c->>'external_subject' AND epoch = (c->>'epoch')::bigint
        AND disabled_at IS NULL;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'account_changed' END;
    IF o_ok THEN PERFORM end_sessions(c->>'id', p_now); END IF;
  END IF;
END $$;

-- `session.federate`: a session on the provider's word, once for each sign-in that was begun.
CREATE FUNCTION federate_session(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_end timestamptz := p_now + make_interval(secs => (c->>'ttl_seconds')::integer);
BEGIN
  DELETE FROM federated_sign_in WHERE used_at < p_now - interval '1 hour';
  PERFORM FROM account WHERE id = c->>'account' AND external_subject = c->>'external_subject'
    AND epoch = (c->>'epoch')::bigint AND disabled_at IS NULL;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'account_changed' END;
  IF NOT o_ok THEN RETURN; END IF;
  INSERT INTO federated_sign_in (ref, used_at) VALUES (c->>'state', p_now) ON CONFLICT DO NOTHING;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'replayed' END;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE account SET last_sign_in_at = p_now WHERE id = c->>'account';
  INSERT INTO session (ref, account_id, factors, created_at, last_seen_at, idle_seconds, expires_at)
    VALUES (c->>'ref', c->>'account', ARRAY(SELECT json_array_elements_text(c->'factors')), p_now, p_now,
            (c->>'idle_seconds')::integer, v_end);
  o_detail := json_build_object('expires_at', to_char(v_end AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
END $$;

-- `session.confirm`: the code that the provider did not ask for. A new token takes the place of the old one, and ends
-- when that would have ended.
CREATE FUNCTION confirm_session(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_session session;
BEGIN
  SELECT * INTO v_session FROM session WHERE ref = c->>'ref' AND account_id = c->>'account' AND ended_at IS NULL
    AND expires_at > p_now AND last_seen_at + make_interval(secs => idle_seconds) > p_now;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'session_ended' END;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE account SET totp_last_step = (c->>'totp_step')::bigint
    WHERE id = c->>'account' AND disabled_at IS NULL AND totp_secret IS NOT NULL
      AND totp_last_step < (c->>'totp_step')::bigint;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'code_used' END;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE session SET ended_at = p_now WHERE ref = v_session.ref;
  INSERT INTO session (ref, account_id, factors, created_at, last_seen_at, idle_seconds, expires_at)
    VALUES (c->>'new_ref', v_session.account_id, array_append(v_session.factors, 'totp'), v_session.created_at, p_now,
            v_session.idle_seconds, v_session.expires_at);
  o_detail := json_build_object('expires_at', to_char(v_session.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
END $$;

ALTER FUNCTION apply_change(text, json, timestamptz) RENAME TO apply_local_change;
CREATE FUNCTION apply_change(p_op text, c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  CASE
  WHEN p_op = 'account.federate' THEN SELECT * INTO o_ok, o_code, o_detail FROM federate_account(c, p_now);
  WHEN p_op = 'session.federate' THEN SELECT * INTO o_ok, o_code, o_detail FROM federate_session(c, p_now);
  WHEN p_op = 'session.confirm' THEN SELECT * INTO o_ok, o_code, o_detail FROM confirm_session(c, p_now);
  WHEN p_op = 'account.enrol' AND EXISTS (SELECT FROM enrolment e JOIN account a ON a.id = e.account_id
                                          WHERE e.ref = c->>'enrolment' AND a.external_subject IS NOT NULL) THEN
    -- A reset takes a lost authenticator away; it does not open a second door with a password.
    o_ok := false;  o_code := 'enrolment_gone';
  ELSE SELECT * INTO o_ok, o_code, o_detail FROM apply_local_change(p_op, c, p_now);
  END CASE;
END $$;

CREATE FUNCTION find_federated(p_subject text)
RETURNS TABLE (id text, roles text[], department text, clearance integer, branch text, epoch bigint, disabled boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, roles, department, clearance, branch, epoch, disabled_at IS NOT NULL
  FROM account WHERE external_subject = p_subject
$$;

DROP FUNCTION find_principal(text, text);
CREATE FUNCTION find_principal(p_kind text, p_ref text)
RETURNS TABLE (subject text, username text, roles text[], department text, clearance integer, branch text, has_totp boolean,
               epoch bigint, credential text, expires_at timestamptz, models text[], actions text[], factors text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT a.id, a.username, a.roles, a.department, a.clearance, a.branch, a.totp_secret IS NOT NULL, a.epoch, s.ref, s.expires_at,
         NULL::text[], NULL::text[], s.factors
  FROM session s JOIN account a ON a.id = s.account_id
  WHERE p_kind = 'session' AND s.ref = p_ref AND s.ended_at IS NULL AND s.expires_at > now()
    AND s.last_seen_at + make_interval(secs => s.idle_seconds) > now() AND a.disabled_at IS NULL
  UNION ALL
  SELECT a.id, a.username, a.roles, a.department, a.clearance, a.branch, a.totp_secret IS NOT NULL, a.epoch, k.id, k.expires_at,
         k.models, k.actions, '{}'::text[]
  FROM api_key k JOIN account a ON a.id = k.account_id
  WHERE p_kind = 'api_key' AND k.secret_hash = p_ref AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > now()) AND a.disabled_at IS NULL
$$;

-- Who signs in through the provider is no invited user that waits for a password.
CREATE OR REPLACE FUNCTION list_accounts() RETURNS TABLE (id text, username text, roles text[], department text, clearance integer,
  branch text, has_password boolean, has_totp boolean, disabled boolean, created_at timestamptz, last_sign_in_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, username, roles, department, clearance, branch, password_hash IS NOT NULL OR external_subject IS NOT NULL,
         totp_secret IS NOT NULL, disabled_at IS NOT NULL, created_at, last_sign_in_at FROM account ORDER BY username
$$;

CREATE OR REPLACE FUNCTION active_admins() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT count(*) FROM account WHERE 'admin' = ANY (roles) AND disabled_at IS NULL
    AND (password_hash IS NOT NULL OR external_subject IS NOT NULL)
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_federated(text), find_principal(text, text) TO strongroom_app;
