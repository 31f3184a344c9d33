-- Accounts that their users set up themselves, second factors with recovery codes, bounded guessing, scoped keys,
-- and what an admin wants to be in service.

ALTER TABLE account
  ADD COLUMN branch text NOT NULL DEFAULT '',
  ADD COLUMN totp_pending bytea,                                 -- sealed; becomes totp_secret after one good code
  ADD COLUMN last_sign_in_at timestamptz;

-- One-use links by which a user chooses his own password; an admin never knows one.
CREATE TABLE enrolment (
  ref        text PRIMARY KEY,                                   -- SHA-256 of the token, hex
  account_id text NOT NULL REFERENCES account (id),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz
);
CREATE INDEX enrolment_account ON enrolment (account_id);

CREATE TABLE recovery_code (
  account_id text NOT NULL REFERENCES account (id),
  ref        text NOT NULL,                                      -- SHA-256 of account id and code, hex
  used_at    timestamptz,
  PRIMARY KEY (account_id, ref)
);

-- Guesses are taken before they are judged, so that parallel ones count. `what` names an account by HMAC, whether it
-- exists or not; unknown devices share the device ''.
CREATE TABLE guess (
  what         text NOT NULL,
  device       text NOT NULL,
  failures     integer NOT NULL,
  since        timestamptz NOT NULL,
  locks        integer NOT NULL DEFAULT 0,
  locked_until timestamptz,
  PRIMARY KEY (what, device)
);

ALTER TABLE api_key
  ADD COLUMN models text[],                                      -- null: every model that policy gives the account
  ADD COLUMN actions text[];                                     -- null: every action that policy gives the account

-- What an admin has put in service, numbered. A model without a row is as its configuration says.
CREATE TABLE model_state (
  model      text PRIMARY KEY,
  number     bigint NOT NULL,
  in_service boolean NOT NULL,
  pinned     boolean NOT NULL,
  changed_by text NOT NULL,
  changed_at timestamptz NOT NULL
);

-- Takes one guess of `what` from `device`. Returns the seconds to wait where it is locked, 0 where the guess may be
-- judged. Five in fifteen minutes lock for one minute, then two, four … up to an hour. Success clears the counter.
CREATE FUNCTION take_guess(p_what text, p_device text) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
DECLARE
  v guess;
  v_now timestamptz;
BEGIN
  INSERT INTO guess (what, device, failures, since) VALUES (p_what, p_device, 0, clock_timestamp()) ON CONFLICT DO NOTHING;
  SELECT * INTO v FROM guess WHERE what = p_what AND device = p_device FOR UPDATE;
  v_now := clock_timestamp();
  IF v.locked_until > v_now THEN
    RETURN ceil(extract(epoch FROM v.locked_until - v_now))::integer;
  END IF;
  IF v.since < v_now - interval '15 minutes' AND (v.locked_until IS NULL OR v.locked_until < v_now - interval '1 day') THEN
    v.failures := 0;  v.since := v_now;  v.locks := 0;
  ELSIF v.locked_until IS NOT NULL AND v.failures >= 5 THEN
    -- A lock that has run out gives one more window of five.
    v.failures := 0;  v.since := v_now;
  END IF;
  v.failures := v.failures + 1;
  IF v.failures >= 5 THEN
    v.locks := v.locks + 1;
    v.locked_until := v_now + least(interval '1 hour', interval '1 minute' * power(2, v.locks - 1));
  END IF;
  UPDATE guess SET failures = v.failures, since = v.since, locks = v.locks, locked_until = v.locked_until
    WHERE what = p_what AND device = p_device;
  RETURN 0;
END $$;

-- Takes the last guess back: it turned out to be none.
CREATE FUNCTION return_guess(p_what text, p_device text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  UPDATE guess SET failures = greatest(0, failures - 1),
      locks = CASE WHEN failures = 5 THEN greatest(0, locks - 1) ELSE locks END,
      locked_until = CASE WHEN failures = 5 THEN NULL ELSE locked_until END
    WHERE what = p_what AND device = p_device
$$;

CREATE FUNCTION clear_guesses(p_what text, p_device text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  DELETE FROM guess WHERE what = p_what AND device = p_device
$$;

-- Ends everything an account holds after a change of its factors, roles or state.
CREATE FUNCTION end_sessions(p_account text, p_now timestamptz) RETURNS void LANGUAGE sql VOLATILE AS $$
  UPDATE session SET ended_at = p_now WHERE account_id = p_account AND ended_at IS NULL
$$;

-- The changes of this migration, by name; apply_change hands on what it does not know.
CREATE FUNCTION apply_identity_change(p_op text, c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_id text;
BEGIN
  o_ok := true;
  CASE p_op
  WHEN 'account.invite' THEN
    -- A new account, or a reset of one: no password, no factor, no session; a link that is good once for 24 hours.
    IF c->>'username' IS NOT NULL THEN
      INSERT INTO account (id, username, roles, department, clearance, branch, created_at)
        VALUES (c->>'id', c->>'username', ARRAY(SELECT json_array_elements_text(c->'roles')), c->>'department',
                (c->>'clearance')::integer, c->>'branch', p_now)
        ON CONFLICT (username) DO NOTHING;
      o_ok := FOUND;
      o_code := CASE WHEN o_ok THEN NULL ELSE 'username_taken' END;
      IF o_ok THEN
        INSERT INTO actor_name (actor, name) VALUES (c->>'id', c->>'username');
      END IF;
    ELSE
      UPDATE account SET password_hash = NULL, totp_secret = NULL, totp_pending = NULL, epoch = epoch + 1
        WHERE id = c->>'id';
      o_ok := FOUND;
      o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;
      IF o_ok THEN
        PERFORM end_sessions(c->>'id', p_now);
        DELETE FROM recovery_code WHERE account_id = c->>'id';
        UPDATE enrolment SET used_at = p_now WHERE account_id = c->>'id' AND used_at IS NULL;
      END IF;
    END IF;
    IF o_ok THEN
      INSERT INTO enrolment (ref, account_id, created_at, expires_at)
        VALUES (c->>'enrolment', c->>'id', p_now, p_now + interval '24 hours');
      o_detail := json_build_object('expires_at', to_char((p_now + interval '24 hours') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
    END IF;

  WHEN 'account.enrol' THEN
    UPDATE enrolment SET used_at = p_now
      WHERE ref = c->>'enrolment' AND used_at IS NULL AND expires_at > p_now RETURNING account_id INTO v_id;
    o_ok := FOUND;
    IF o_ok THEN
      UPDATE account SET password_hash = c->>'password_hash', password_changed_at = p_now, epoch = epoch + 1
        WHERE id = v_id AND disabled_at IS NULL;
      o_ok := FOUND;
    END IF;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'enrolment_gone' END;

  WHEN 'account.update' THEN
    UPDATE account SET roles = coalesce((SELECT array_agg(r) FROM json_array_elements_text(c->'roles') r), roles),
        department = coalesce(c->>'department', department), clearance = coalesce((c->>'clearance')::integer, clearance),
        branch = coalesce(c->>'branch', branch), epoch = epoch + 1
      WHERE id = c->>'id';
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;
    IF o_ok THEN PERFORM end_sessions(c->>'id', p_now); END IF;

  WHEN 'account.disable' THEN
    UPDATE account SET disabled_at = p_now, epoch = epoch + 1 WHERE id = c->>'id' AND disabled_at IS NULL;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;
    IF o_ok THEN PERFORM end_sessions(c->>'id', p_now); END IF;

  WHEN 'account.enable' THEN
    UPDATE account SET disabled_at = NULL, epoch = epoch + 1 WHERE id = c->>'id' AND disabled_at IS NOT NULL;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;

  WHEN 'totp.enrol' THEN
    UPDATE account SET totp_pending = decode(c->>'secret', 'hex')
      WHERE id = c->>'account' AND epoch = (c->>'epoch')::bigint AND disabled_at IS NULL;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'account_changed' END;

  WHEN 'totp.activate' THEN
    UPDATE account SET totp_secret = totp_pending, totp_pending = NULL, totp_last_step = (c->>'totp_step')::bigint, epoch = epoch + 1
      WHERE id = c->>'account' AND totp_pending = decode(c->>'secret', 'hex') AND disabled_at IS NULL;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'account_changed' END;
    IF o_ok THEN
      PERFORM end_sessions(c->>'account', p_now);
      DELETE FROM recovery_code WHERE account_id = c->>'account';
      INSERT INTO recovery_code (account_id, ref) SELECT c->>'account', r FROM json_array_elements_text(c->'recovery_codes') r;
    END IF;

  WHEN 'session.end_other' THEN
    UPDATE session SET ended_at = p_now WHERE ref = c->>'ref' AND account_id = c->>'account' AND ended_at IS NULL;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;

  WHEN 'model.set' THEN
    INSERT INTO model_state AS m (model, number, in_service, pinned, changed_by, changed_at)
      VALUES (c->>'model', (SELECT coalesce(max(number), 0) + 1 FROM model_state), coalesce((c->>'in_service')::boolean, true),
              coalesce((c->>'pinned')::boolean, false), c->>'by', p_now)
      ON CONFLICT (model) DO UPDATE SET number = excluded.number, changed_by = excluded.changed_by, changed_at = excluded.changed_at,
        in_service = coalesce((c->>'in_service')::boolean, m.in_service), pinned = coalesce((c->>'pinned')::boolean, m.pinned);
    SELECT json_build_object('number', number, 'in_service', in_service, 'pinned', pinned) INTO o_detail
      FROM model_state WHERE model = c->>'model';

  ELSE
    RAISE EXCEPTION 'unknown change %', p_op USING ERRCODE = 'invalid_parameter_value';
  END CASE;
END $$;

-- Sign-in with a code, or with a recovery code in its place.
CREATE FUNCTION create_session(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_account account;
  v_end timestamptz := p_now + make_interval(secs => (c->>'ttl_seconds')::integer);
BEGIN
  o_ok := true;
  -- The account may have changed since its password was looked up: then the sign-in starts again.
  SELECT * INTO v_account FROM account WHERE id = c->>'account' AND disabled_at IS NULL AND epoch = (c->>'epoch')::bigint;
  IF NOT FOUND THEN
    o_ok := false;  o_code := 'account_changed';
    RETURN;
  END IF;
  IF v_account.totp_secret IS NOT NULL THEN
    IF c->>'totp_step' IS NOT NULL THEN
      UPDATE account SET totp_last_step = (c->>'totp_step')::bigint
        WHERE id = v_account.id AND totp_last_step < (c->>'totp_step')::bigint;
      o_ok := FOUND;  o_code := CASE WHEN o_ok THEN NULL ELSE 'code_used' END;
    ELSIF c->>'recovery' IS NOT NULL THEN
      UPDATE recovery_code SET used_at = p_now WHERE account_id = v_account.id AND ref = c->>'recovery' AND used_at IS NULL;
      o_ok := FOUND;  o_code := CASE WHEN o_ok THEN NULL ELSE 'wrong_code' END;
    ELSE
      o_ok := false;  o_code := 'code_required';
    END IF;
  END IF;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE account SET last_sign_in_at = p_now WHERE id = v_account.id;
  INSERT INTO session (ref, account_id, factors, created_at, last_seen_at, idle_seconds, expires_at)
    VALUES (c->>'ref', v_account.id, ARRAY(SELECT json_array_elements_text(c->'factors')), p_now, p_now,
            (c->>'idle_seconds')::integer, v_end);
  o_detail := json_build_object('expires_at', to_char(v_end AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
END $$;

CREATE FUNCTION create_key(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO api_key (id, account_id, name, secret_hash, created_at, expires_at, models, actions)
    SELECT c->>'id', a.id, c->>'name', c->>'secret_hash', p_now,
           p_now + make_interval(days => (c->>'expires_in_days')::integer),
           (SELECT array_agg(m) FROM json_array_elements_text(CASE json_typeof(c->'models') WHEN 'array' THEN c->'models' END) m),
           (SELECT array_agg(x) FROM json_array_elements_text(CASE json_typeof(c->'actions') WHEN 'array' THEN c->'actions' END) x)
    FROM account a WHERE a.id = c->>'account' AND a.disabled_at IS NULL AND a.epoch = (c->>'epoch')::bigint;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'account_changed' END;
END $$;

ALTER FUNCTION apply_change(text, json, timestamptz) RENAME TO apply_first_change;
CREATE FUNCTION apply_change(p_op text, c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  CASE
  WHEN p_op = 'session.create' THEN SELECT * INTO o_ok, o_code, o_detail FROM create_session(c, p_now);
  WHEN p_op = 'key.create' THEN SELECT * INTO o_ok, o_code, o_detail FROM create_key(c, p_now);
  WHEN p_op IN ('account.invite', 'account.enrol', 'account.update', 'account.disable', 'account.enable', 'totp.enrol',
                'totp.activate', 'session.end_other', 'model.set')
    THEN SELECT * INTO o_ok, o_code, o_detail FROM apply_identity_change(p_op, c, p_now);
  ELSE SELECT * INTO o_ok, o_code, o_detail FROM apply_first_change(p_op, c, p_now);
  END CASE;
END $$;

DROP FUNCTION find_account(text);
CREATE FUNCTION find_account(p_username text)
RETURNS TABLE (id text, username text, password_hash text, roles text[], department text, clearance integer, branch text,
               totp_secret bytea, epoch bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, username, password_hash, roles, department, clearance, branch, totp_secret, epoch
  FROM account WHERE username = p_username AND disabled_at IS NULL
$$;

DROP FUNCTION find_principal(text, text);
CREATE FUNCTION find_principal(p_kind text, p_ref text)
RETURNS TABLE (subject text, username text, roles text[], department text, clearance integer, branch text, has_totp boolean,
               epoch bigint, credential text, expires_at timestamptz, models text[], actions text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT a.id, a.username, a.roles, a.department, a.clearance, a.branch, a.totp_secret IS NOT NULL, a.epoch, s.ref, s.expires_at,
         NULL::text[], NULL::text[]
  FROM session s JOIN account a ON a.id = s.account_id
  WHERE p_kind = 'session' AND s.ref = p_ref AND s.ended_at IS NULL AND s.expires_at > now()
    AND s.last_seen_at + make_interval(secs => s.idle_seconds) > now() AND a.disabled_at IS NULL
  UNION ALL
  SELECT a.id, a.username, a.roles, a.department, a.clearance, a.branch, a.totp_secret IS NOT NULL, a.epoch, k.id, k.expires_at,
         k.models, k.actions
  FROM api_key k JOIN account a ON a.id = k.account_id
  WHERE p_kind = 'api_key' AND k.secret_hash = p_ref AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > now()) AND a.disabled_at IS NULL
$$;

DROP FUNCTION list_keys(text);
CREATE FUNCTION list_keys(p_account text)
RETURNS TABLE (id text, name text, created_at timestamptz, expires_at timestamptz, last_used_at timestamptz, models text[], actions text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, name, created_at, expires_at, last_used_at, models, actions FROM api_key
  WHERE account_id = p_account AND revoked_at IS NULL ORDER BY created_at DESC
$$;

CREATE FUNCTION list_accounts() RETURNS TABLE (id text, username text, roles text[], department text, clearance integer,
  branch text, has_password boolean, has_totp boolean, disabled boolean, created_at timestamptz, last_sign_in_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, username, roles, department, clearance, branch, password_hash IS NOT NULL, totp_secret IS NOT NULL,
         disabled_at IS NOT NULL, created_at, last_sign_in_at FROM account ORDER BY username
$$;

CREATE FUNCTION active_admins() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT count(*) FROM account WHERE 'admin' = ANY (roles) AND disabled_at IS NULL AND password_hash IS NOT NULL
$$;

CREATE FUNCTION find_enrolment(p_ref text) RETURNS TABLE (id text, username text, roles text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT a.id, a.username, a.roles FROM enrolment e JOIN account a ON a.id = e.account_id
  WHERE e.ref = p_ref AND e.used_at IS NULL AND e.expires_at > now() AND a.disabled_at IS NULL
$$;

CREATE FUNCTION pending_totp(p_account text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT totp_pending FROM account WHERE id = p_account
$$;

CREATE FUNCTION list_sessions(p_account text)
RETURNS TABLE (ref text, factors text[], created_at timestamptz, last_seen_at timestamptz, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT ref, factors, created_at, last_seen_at, expires_at FROM session
  WHERE account_id = p_account AND ended_at IS NULL AND expires_at > now()
    AND last_seen_at + make_interval(secs => idle_seconds) > now() ORDER BY created_at DESC
$$;

CREATE FUNCTION model_states() RETURNS TABLE (model text, number bigint, in_service boolean, pinned boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT model, number, in_service, pinned FROM model_state
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_account(text), find_principal(text, text), list_keys(text), take_guess(text, text), return_guess(text, text), clear_guesses(text, text),
  list_accounts(), active_admins(), find_enrolment(text), pending_totp(text), list_sessions(text), model_states()
  TO strongroom_app;
