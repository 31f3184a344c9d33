-- Service accounts and everybody's keys for admins, guards for the last admin, passwords that grow old or weak, tokens
-- that change during a session, sign-out from the provider's side, and keys of files that the database knows by name.

-- An application's account: no password, no factor, no session; only an admin gives it keys. It stays one for good.
CREATE FUNCTION is_service(p_roles text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT 'service' = ANY (p_roles) $$;

-- Whether without this account nobody could administer any more.
CREATE FUNCTION is_last_admin(p_account text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(bool_or(a.id = p_account) AND count(*) = 1, false) FROM account a
  WHERE 'admin' = ANY (a.roles) AND a.disabled_at IS NULL AND (a.password_hash IS NOT NULL OR a.external_subject IS NOT NULL)
$$;

-- `account.service`: {"id","username","department","clearance","branch"}.
CREATE FUNCTION change_account_service(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO account (id, username, roles, department, clearance, branch, created_at)
    VALUES (c->>'id', c->>'username', '{service}', c->>'department', (c->>'clearance')::integer, c->>'branch', p_now)
    ON CONFLICT (username) DO NOTHING;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'username_taken' END;
  IF o_ok THEN
    INSERT INTO actor_name (actor, name) VALUES (c->>'id', c->>'username');
    PERFORM certify_account(c);
  END IF;
END $$;

-- `account.invite`: a reset takes the API keys too, and is none of a service account or of the last admin.
CREATE OR REPLACE FUNCTION change_account_invite(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  o_ok := false;
  IF c->>'username' IS NULL THEN
    IF is_last_admin(c->>'id') THEN o_code := 'last_admin';  RETURN; END IF;
    IF EXISTS (SELECT FROM account WHERE id = c->>'id' AND is_service(roles)) THEN o_code := 'service_account';  RETURN; END IF;
  ELSIF is_service(ARRAY(SELECT json_array_elements_text(c->'roles'))) THEN
    o_code := 'service_account';  RETURN;
  END IF;
  SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('account.invite', c, p_now) a;
  IF o_ok THEN PERFORM certify_account(c); END IF;
  IF o_ok AND c->>'username' IS NULL THEN PERFORM revoke_keys(c->>'id', p_now); END IF;
END $$;

CREATE FUNCTION revoke_keys(p_account text, p_now timestamptz) RETURNS void LANGUAGE sql VOLATILE AS $$
  WITH gone AS (UPDATE api_key SET revoked_at = p_now WHERE account_id = p_account AND revoked_at IS NULL RETURNING id)
  DELETE FROM quota_limit WHERE scope IN (SELECT 'key:' || id FROM gone)
$$;

-- `account.update`: nobody becomes a service account or stops being one, and the last admin stays one.
CREATE OR REPLACE FUNCTION change_account_update(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_roles text[] := (SELECT array_agg(r) FROM json_array_elements_text(c->'roles') r);
BEGIN
  o_ok := false;
  IF v_roles IS NOT NULL THEN
    IF NOT 'admin' = ANY (v_roles) AND is_last_admin(c->>'id') THEN o_code := 'last_admin';  RETURN; END IF;
    IF EXISTS (SELECT FROM account WHERE id = c->>'id' AND is_service(roles) <> is_service(v_roles)) THEN
      o_code := 'service_account';  RETURN;
    END IF;
  END IF;
  SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('account.update', c, p_now) a;
  IF o_ok THEN PERFORM certify_account(c); END IF;
END $$;

CREATE FUNCTION change_account_disable(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF is_last_admin(c->>'id') THEN o_ok := false;  o_code := 'last_admin';  RETURN; END IF;
  SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('account.disable', c, p_now) a;
END $$;

-- A service account is in force from the start: nobody has to choose a password for it.
CREATE OR REPLACE FUNCTION list_accounts() RETURNS TABLE (id text, username text, roles text[], department text, clearance integer,
  branch text, certifications text[], has_password boolean, has_totp boolean, disabled boolean, created_at timestamptz, last_sign_in_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, username, roles, department, clearance, branch, certifications,
         password_hash IS NOT NULL OR external_subject IS NOT NULL OR is_service(roles),
         totp_secret IS NOT NULL, disabled_at IS NOT NULL, created_at, last_sign_in_at FROM account ORDER BY username
$$;

-- A key's own limits, beside those of its account: {"limits": {"requests_day": 100}}.
CREATE FUNCTION limit_key(c json) RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO quota_limit (scope, kind, amount)
    SELECT 'key:' || (c->>'id'), l.key, l.value::bigint
    FROM json_each_text(CASE json_typeof(c->'limits') WHEN 'object' THEN c->'limits' ELSE '{}'::json END) l
$$;

CREATE FUNCTION change_key_create(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('key.create', c, p_now) a;
  IF o_ok THEN PERFORM limit_key(c); END IF;
END $$;

-- `key.issue`: a key of a service account, made by an admin. {"id","account","name","secret_hash",…} as of key.create.
CREATE FUNCTION change_key_issue(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  SELECT k.o_ok, k.o_code, k.o_detail INTO o_ok, o_code, o_detail
    FROM account a, create_key((c::jsonb || jsonb_build_object('epoch', a.epoch))::json, p_now) k
    WHERE a.id = c->>'account' AND is_service(a.roles) AND a.disabled_at IS NULL;
  o_ok := coalesce(o_ok, false);
  o_code := CASE WHEN o_ok THEN NULL ELSE 'no_service_account' END;
  IF o_ok THEN PERFORM limit_key(c); END IF;
END $$;

CREATE FUNCTION change_key_revoke(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('key.revoke', c, p_now) a;
  IF o_ok THEN DELETE FROM quota_limit WHERE scope = 'key:' || (c->>'id'); END IF;
END $$;

-- `key.withdraw`: anybody's key, by an admin.
CREATE FUNCTION change_key_withdraw(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE api_key SET revoked_at = p_now WHERE id = c->>'id' AND revoked_at IS NULL;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;
  IF o_ok THEN DELETE FROM quota_limit WHERE scope = 'key:' || (c->>'id'); END IF;
END $$;

-- Every key that has not been revoked, with its owner and its own limits.
CREATE FUNCTION list_all_keys()
RETURNS TABLE (id text, name text, created_at timestamptz, expires_at timestamptz, last_used_at timestamptz, models text[],
               actions text[], account text, username text, roles text[], disabled boolean, limits json)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT k.id, k.name, k.created_at, k.expires_at, k.last_used_at, k.models, k.actions, a.id, a.username, a.roles,
         a.disabled_at IS NOT NULL,
         coalesce((SELECT json_object_agg(l.kind, l.amount) FROM quota_limit l WHERE l.scope = 'key:' || k.id), '{}')
  FROM api_key k JOIN account a ON a.id = k.account_id WHERE k.revoked_at IS NULL ORDER BY a.username, k.created_at DESC
$$;

-- Passwords. `password.rehash`: {"account","old","new"}; the password is the same, so nothing ends. Of two at once the
-- first counts.
CREATE FUNCTION change_password_rehash(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE account SET password_hash = c->>'new' WHERE id = c->>'account' AND password_hash = c->>'old' AND disabled_at IS NULL;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'password_changed' END;
END $$;

-- `session.create`: with `max_age_days` a session whose account's password is older may do nothing but change it.
-- A service account has no session, whatever else it may have been given.
CREATE FUNCTION change_session_create(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_expired boolean;
BEGIN
  IF EXISTS (SELECT FROM account WHERE id = c->>'account' AND is_service(roles)) THEN
    o_ok := false;  o_code := 'account_changed';
    RETURN;
  END IF;
  SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('session.create', c, p_now) a;
  IF NOT o_ok OR c->>'max_age_days' IS NULL THEN RETURN; END IF;
  SELECT coalesce(password_changed_at, created_at) + make_interval(days => (c->>'max_age_days')::integer) <= p_now
    INTO v_expired FROM account WHERE id = c->>'account';
  IF v_expired THEN
    UPDATE session SET factors = array_append(factors, 'password expired') WHERE ref = c->>'ref';
    o_detail := (o_detail::jsonb || '{"password_expired": true}')::json;
  END IF;
END $$;

-- A session keeps its `ref`; what opens it may change. `token_ref` is the SHA-256 of the token in force, null for the
-- first one; the one before it opens the session for a moment more, for requests that were on their way.
ALTER TABLE session
  ADD COLUMN token_ref text UNIQUE,
  ADD COLUMN previous_ref text,
  ADD COLUMN previous_until timestamptz,
  ADD COLUMN provider_sid text;                                  -- `sid` of the identity provider's ID token
CREATE INDEX session_previous ON session (previous_ref) WHERE previous_ref IS NOT NULL;

-- The session that a token opens, or NULL.
CREATE FUNCTION session_of(p_token text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT s.ref FROM session s WHERE s.ref = p_token AND s.token_ref IS NULL
  UNION ALL SELECT s.ref FROM session s WHERE s.token_ref = p_token
  UNION ALL SELECT s.ref FROM session s WHERE s.previous_ref = p_token AND s.previous_until > now()
  LIMIT 1
$$;

-- `session.rotate`: {"ref","account","old","new"}. Only the token in force is followed by another one.
CREATE FUNCTION change_session_rotate(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE session SET token_ref = c->>'new', previous_ref = c->>'old', previous_until = p_now + interval '10 seconds'
    WHERE ref = c->>'ref' AND account_id = c->>'account' AND ended_at IS NULL AND expires_at > p_now
      AND coalesce(token_ref, ref) = c->>'old'
    RETURNING json_build_object('expires_at', to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) INTO o_detail;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'token_replaced' END;
END $$;

CREATE FUNCTION change_session_federate(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF EXISTS (SELECT FROM account WHERE id = c->>'account' AND is_service(roles)) THEN
    o_ok := false;  o_code := 'account_changed';
    RETURN;
  END IF;
  SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('session.federate', c, p_now) a;
  IF o_ok THEN UPDATE session SET provider_sid = c->>'sid' WHERE ref = c->>'ref'; END IF;
END $$;

CREATE FUNCTION change_session_confirm(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('session.confirm', c, p_now) a;
  IF o_ok THEN
    UPDATE session n SET provider_sid = o.provider_sid FROM session o WHERE o.ref = c->>'ref' AND n.ref = c->>'new_ref';
  END IF;
END $$;

-- `session.provider_logout`: OpenID Connect Back-Channel Logout 1.0. {"token","issuer","subject","sid"}: one session of
-- the provider's, or all of a user; a token counts once.
CREATE FUNCTION change_session_provider_logout(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_ended integer;
BEGIN
  DELETE FROM federated_sign_in WHERE used_at < p_now - interval '1 hour';
  INSERT INTO federated_sign_in (ref, used_at) VALUES (c->>'token', p_now) ON CONFLICT DO NOTHING;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'replayed' END;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE session s SET ended_at = p_now FROM account a
    WHERE s.account_id = a.id AND s.ended_at IS NULL AND starts_with(a.external_subject, c->>'issuer' || ' ')
      AND (c->>'subject' IS NOT NULL OR c->>'sid' IS NOT NULL)
      AND (c->>'subject' IS NULL OR a.external_subject = c->>'issuer' || ' ' || (c->>'subject'))
      AND (c->>'sid' IS NULL OR s.provider_sid = c->>'sid');
  GET DIAGNOSTICS v_ended = ROW_COUNT;
  o_detail := json_build_object('ended', v_ended);
END $$;

-- Keys of files, by name: what a gateway is started with must be what the database was written with. A seal key's name
-- stands in front of everything sealed under it. Of the keys that sign checkpoints, signing_key tells the same.
CREATE TABLE key_file (
  purpose       text NOT NULL CHECK (purpose IN ('seal', 'token')),
  fingerprint   text NOT NULL,
  -- next: known, not used yet. head: in use. old: still read. retired: nothing may be sealed under it any more.
  state         text NOT NULL CHECK (state IN ('next', 'head', 'old', 'retired')),
  registered_at timestamptz NOT NULL,
  PRIMARY KEY (purpose, fingerprint)
);
CREATE UNIQUE INDEX key_file_head ON key_file (purpose) WHERE state = 'head';
CREATE UNIQUE INDEX key_file_next ON key_file (purpose) WHERE state = 'next';

-- Which seal keys each running gateway holds; those that say nothing for ten seconds do not run.
CREATE TABLE key_holder (
  instance     text PRIMARY KEY,
  fingerprints text[] NOT NULL,
  seen_at      timestamptz NOT NULL
);

CREATE FUNCTION key_files(p_purpose text) RETURNS TABLE (fingerprint text, state text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT fingerprint, state FROM key_file WHERE purpose = p_purpose ORDER BY registered_at DESC, fingerprint
$$;

CREATE FUNCTION hold_seal_keys(p_instance text, p_fingerprints text[]) RETURNS TABLE (fingerprint text, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
BEGIN
  DELETE FROM key_holder h WHERE h.instance IN (
    SELECT o.instance FROM key_holder o WHERE o.seen_at < clock_timestamp() - interval '1 minute' FOR UPDATE SKIP LOCKED);
  INSERT INTO key_holder AS h (instance, fingerprints, seen_at) VALUES (p_instance, p_fingerprints, clock_timestamp())
    ON CONFLICT ON CONSTRAINT key_holder_pkey DO UPDATE SET fingerprints = excluded.fingerprints, seen_at = excluded.seen_at;
  RETURN QUERY SELECT k.fingerprint, k.state FROM key_files('seal') k;
END $$;

-- Gateways that run and do not hold a key yet.
CREATE FUNCTION without_seal_key(p_fingerprint text) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT count(*) FROM key_holder
  WHERE seen_at > clock_timestamp() - interval '10 seconds' AND NOT p_fingerprint = ANY (fingerprints)
$$;

-- What is sealed under another key than this one, a portion at a time.
CREATE FUNCTION sealed_otherwise(p_fingerprint text) RETURNS TABLE (account text, place text, sealed bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT a.id, s.place, s.sealed
  FROM account a CROSS JOIN LATERAL (VALUES ('secret', a.totp_secret), ('pending', a.totp_pending)) AS s (place, sealed)
  WHERE s.sealed IS NOT NULL AND substring(s.sealed FOR 8) <> decode(p_fingerprint, 'hex') ORDER BY a.id, s.place LIMIT 200
$$;

-- `key.register`: the first key of a purpose, or the next one that signs tokens ("replace").
CREATE FUNCTION change_key_register(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF c->>'purpose' = 'token' AND c->>'replace' = 'true' THEN
    UPDATE key_file SET state = 'retired' WHERE purpose = 'token' AND state <> 'retired' AND fingerprint <> c->>'fingerprint';
  END IF;
  INSERT INTO key_file (purpose, fingerprint, state, registered_at)
    SELECT c->>'purpose', c->>'fingerprint', 'head', p_now
    WHERE NOT EXISTS (SELECT FROM key_file WHERE purpose = c->>'purpose' AND state = 'head')
    ON CONFLICT DO NOTHING;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'registered_already' END;
END $$;

CREATE FUNCTION change_seal_prepare(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO key_file (purpose, fingerprint, state, registered_at) VALUES ('seal', c->>'fingerprint', 'next', p_now)
    ON CONFLICT DO NOTHING;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'rotation_under_way' END;
END $$;

-- The next key becomes the one in use, once every gateway that runs can read it.
CREATE FUNCTION change_seal_advance(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  o_ok := EXISTS (SELECT FROM key_file WHERE purpose = 'seal' AND fingerprint = c->>'fingerprint' AND state = 'next')
    AND without_seal_key(c->>'fingerprint') = 0;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'not_everywhere' END;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE key_file SET state = 'old' WHERE purpose = 'seal' AND state = 'head';
  UPDATE key_file SET state = 'head' WHERE purpose = 'seal' AND fingerprint = c->>'fingerprint';
END $$;

-- `totp.reseal`: {"account","place","old","new"}: the same secret under another key; nothing ends.
CREATE FUNCTION change_totp_reseal(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF c->>'place' = 'secret' THEN
    UPDATE account SET totp_secret = decode(c->>'new', 'hex') WHERE id = c->>'account' AND totp_secret = decode(c->>'old', 'hex');
  ELSE
    UPDATE account SET totp_pending = decode(c->>'new', 'hex') WHERE id = c->>'account' AND totp_pending = decode(c->>'old', 'hex');
  END IF;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'changed_meanwhile' END;
END $$;

CREATE FUNCTION change_seal_retire(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  o_ok := NOT EXISTS (SELECT FROM account
    WHERE decode(c->>'fingerprint', 'hex') IN (substring(totp_secret FOR 8), substring(totp_pending FOR 8)));
  o_code := CASE WHEN o_ok THEN NULL ELSE 'still_used' END;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE key_file SET state = 'retired' WHERE purpose = 'seal' AND fingerprint = c->>'fingerprint' AND state = 'old';
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'not_old' END;
END $$;

-- A gateway that slept through a rotation must not seal under a key that nobody keeps any more.
CREATE FUNCTION refuse_retired_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM strongroom.key_file k WHERE k.purpose = 'seal' AND k.state = 'retired' AND k.fingerprint IN
      (encode(substring(NEW.totp_secret FOR 8), 'hex'), encode(substring(NEW.totp_pending FOR 8), 'hex'))) THEN
    RAISE EXCEPTION 'sealed under a key that is retired' USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER account_sealed BEFORE INSERT OR UPDATE OF totp_secret, totp_pending ON account
  FOR EACH ROW EXECUTE FUNCTION refuse_retired_key();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_accounts(), list_all_keys(), session_of(text), key_files(text), hold_seal_keys(text, text[]),
  without_seal_key(text), sealed_otherwise(text) TO strongroom_app;
