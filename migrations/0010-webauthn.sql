-- Passkeys (WebAuthn Level 3): a second factor that no other site can ask for. Public keys only: nothing here is secret.

CREATE TABLE passkey (
  id            text PRIMARY KEY,                                -- psk_…, what its owner and the record call it
  account_id    text NOT NULL REFERENCES account (id),
  credential_id bytea NOT NULL UNIQUE,
  public_key    bytea NOT NULL,                                  -- COSE_Key
  sign_count    bigint NOT NULL,
  transports    text[] NOT NULL,
  name          text NOT NULL,
  created_at    timestamptz NOT NULL,
  last_used_at  timestamptz
);
CREATE INDEX passkey_account ON passkey (account_id);

-- Open ceremonies. A step-up has none here: its own challenge is the one that is signed.
CREATE TABLE webauthn_challenge (
  ref        text PRIMARY KEY,                                   -- SHA-256 of the challenge, hex
  purpose    text NOT NULL CHECK (purpose IN ('register', 'sign-in', 'confirm')),
  account_id text NOT NULL REFERENCES account (id),
  session    text,                                               -- the session that it was made for; a sign-in has none yet
  epoch      bigint NOT NULL,                                    -- of the account, when the password was shown
  created_at timestamptz NOT NULL
);
CREATE INDEX webauthn_challenge_account ON webauthn_challenge (account_id, created_at);
CREATE INDEX webauthn_challenge_created ON webauthn_challenge (created_at);

CREATE FUNCTION has_passkey(p_account text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT EXISTS (SELECT FROM passkey WHERE account_id = p_account)
$$;

CREATE FUNCTION list_passkeys(p_account text)
RETURNS TABLE (id text, credential_id bytea, public_key bytea, sign_count bigint, transports text[], name text,
               created_at timestamptz, last_used_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, credential_id, public_key, sign_count, transports, name, created_at, last_used_at FROM passkey
  WHERE account_id = p_account ORDER BY created_at
$$;

-- Whoever shows a challenge has used it up, whatever comes of it, on whichever replica.
CREATE FUNCTION take_webauthn_challenge(p_ref text, p_purpose text, p_session text)
RETURNS TABLE (account text, username text, epoch bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  WITH taken AS (DELETE FROM webauthn_challenge WHERE ref = p_ref RETURNING *)
  SELECT a.id, a.username, t.epoch FROM taken t JOIN account a ON a.id = t.account_id
  WHERE t.purpose = p_purpose AND t.session IS NOT DISTINCT FROM p_session AND a.disabled_at IS NULL
    AND t.created_at > clock_timestamp() - interval '5 minutes'
$$;

-- `webauthn.challenge`: {"ref","purpose","account","session","epoch"}. Old ones go; of an account's own the last eight stay.
CREATE FUNCTION change_webauthn_challenge(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  DELETE FROM webauthn_challenge WHERE ref IN (
    SELECT w.ref FROM webauthn_challenge w WHERE w.created_at < p_now - interval '10 minutes'
    UNION ALL
    (SELECT w.ref FROM webauthn_challenge w WHERE w.account_id = c->>'account' ORDER BY w.created_at DESC OFFSET 7));
  INSERT INTO webauthn_challenge (ref, purpose, account_id, session, epoch, created_at)
    SELECT c->>'ref', c->>'purpose', a.id, c->>'session', a.epoch, p_now FROM account a
    WHERE a.id = c->>'account' AND a.epoch = (c->>'epoch')::bigint AND a.disabled_at IS NULL;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'account_changed' END;
END $$;

-- `passkey.register`: ends what was signed in without it. Recovery codes are kept where the account has none left.
CREATE FUNCTION change_passkey_register(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_first boolean;
BEGIN
  o_ok := false;
  PERFORM FROM account WHERE id = c->>'account' AND epoch = (c->>'epoch')::bigint AND disabled_at IS NULL;
  IF NOT FOUND THEN o_code := 'account_changed';  RETURN; END IF;
  IF (SELECT count(*) FROM passkey WHERE account_id = c->>'account') >= 10 THEN o_code := 'too_many';  RETURN; END IF;
  INSERT INTO passkey (id, account_id, credential_id, public_key, sign_count, transports, name, created_at)
    VALUES (c->>'id', c->>'account', decode(c->>'credential_id', 'hex'), decode(c->>'public_key', 'hex'),
            (c->>'sign_count')::bigint, ARRAY(SELECT json_array_elements_text(c->'transports')), c->>'name', p_now)
    ON CONFLICT DO NOTHING;
  o_ok := FOUND;
  IF NOT o_ok THEN o_code := 'known_already';  RETURN; END IF;
  UPDATE account SET epoch = epoch + 1 WHERE id = c->>'account';
  PERFORM end_sessions(c->>'account', p_now);
  v_first := NOT EXISTS (SELECT FROM recovery_code WHERE account_id = c->>'account' AND used_at IS NULL);
  IF v_first THEN
    DELETE FROM recovery_code WHERE account_id = c->>'account';
    INSERT INTO recovery_code (account_id, ref) SELECT c->>'account', r FROM json_array_elements_text(c->'recovery_codes') r;
  END IF;
  o_detail := json_build_object('recovery_codes', v_first);
END $$;

CREATE FUNCTION change_passkey_rename(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE passkey SET name = c->>'name' WHERE id = c->>'id' AND account_id = c->>'account';
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;
END $$;

-- `passkey.remove`: with `keep_one` never the last factor of an account; of two removals at once the first counts.
CREATE FUNCTION change_passkey_remove(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_other boolean := EXISTS (SELECT FROM account WHERE id = c->>'account' AND totp_secret IS NOT NULL)
    OR EXISTS (SELECT FROM passkey WHERE account_id = c->>'account' AND id <> c->>'id');
BEGIN
  o_ok := false;
  IF NOT EXISTS (SELECT FROM passkey WHERE account_id = c->>'account' AND id = c->>'id') THEN
    o_code := 'not_found';  RETURN;
  END IF;
  IF (c->>'keep_one')::boolean AND NOT v_other THEN o_code := 'last_factor';  RETURN; END IF;
  DELETE FROM passkey WHERE id = c->>'id';
  IF NOT v_other THEN DELETE FROM recovery_code WHERE account_id = c->>'account'; END IF;
  UPDATE account SET epoch = epoch + 1 WHERE id = c->>'account';
  PERFORM end_sessions(c->>'account', p_now);
  o_ok := true;
END $$;

-- Whoever gets an enrolment link starts from nothing, whichever change has made it.
CREATE FUNCTION drop_passkeys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM strongroom.passkey WHERE account_id = NEW.account_id;
  DELETE FROM strongroom.webauthn_challenge WHERE account_id = NEW.account_id;
  RETURN NULL;
END $$;
CREATE TRIGGER enrolment_from_nothing AFTER INSERT ON enrolment FOR EACH ROW EXECUTE FUNCTION drop_passkeys();

-- One use of a passkey: {"id","count"}. A counter that does not grow is that of a copy (WebAuthn, section 6.1.1); one
-- that is always zero belongs to an authenticator that keeps none.
CREATE FUNCTION use_passkey(p_account text, p_use json, p_now timestamptz) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_count bigint := (p_use->>'count')::bigint;
BEGIN
  UPDATE passkey SET sign_count = v_count, last_used_at = p_now
    WHERE id = p_use->>'id' AND account_id = p_account AND (sign_count < v_count OR (sign_count = 0 AND v_count = 0));
  RETURN FOUND;
END $$;

-- `session.create` of 0004, with a passkey in the code's place.
CREATE OR REPLACE FUNCTION create_session(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
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
  IF v_account.totp_secret IS NOT NULL OR has_passkey(v_account.id) THEN
    IF c->>'passkey' IS NOT NULL THEN
      o_ok := use_passkey(v_account.id, c->'passkey', p_now);
      o_code := CASE WHEN o_ok THEN NULL ELSE 'counter_regressed' END;
    ELSIF c->>'totp_step' IS NOT NULL AND v_account.totp_secret IS NOT NULL THEN
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

-- `session.confirm` of 0005, with a passkey in the code's place.
CREATE OR REPLACE FUNCTION confirm_session(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_session session;
  v_factor text := CASE WHEN c->>'passkey' IS NULL THEN 'totp' ELSE 'passkey' END;
BEGIN
  SELECT * INTO v_session FROM session WHERE ref = c->>'ref' AND account_id = c->>'account' AND ended_at IS NULL
    AND expires_at > p_now AND last_seen_at + make_interval(secs => idle_seconds) > p_now;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'session_ended' END;
  IF NOT o_ok THEN RETURN; END IF;
  IF v_factor = 'passkey' THEN
    o_ok := use_passkey(v_session.account_id, c->'passkey', p_now);
    o_code := CASE WHEN o_ok THEN NULL ELSE 'counter_regressed' END;
  ELSE
    UPDATE account SET totp_last_step = (c->>'totp_step')::bigint
      WHERE id = c->>'account' AND disabled_at IS NULL AND totp_secret IS NOT NULL
        AND totp_last_step < (c->>'totp_step')::bigint;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'code_used' END;
  END IF;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE session SET ended_at = p_now WHERE ref = v_session.ref;
  INSERT INTO session (ref, account_id, factors, created_at, last_seen_at, idle_seconds, expires_at)
    VALUES (c->>'new_ref', v_session.account_id, array_append(v_session.factors, v_factor), v_session.created_at, p_now,
            v_session.idle_seconds, v_session.expires_at);
  o_detail := json_build_object('expires_at', to_char(v_session.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
END $$;

-- `step_up.prove` with a passkey; with a code, or with nothing that was right, as before.
CREATE FUNCTION change_step_up_prove(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF c->>'passkey' IS NULL THEN
    SELECT a.o_ok, a.o_code, a.o_detail INTO o_ok, o_code, o_detail FROM apply_named_change('step_up.prove', c, p_now) a;
    RETURN;
  END IF;
  PERFORM FROM step_up_challenge
    WHERE ref = c->>'ref' AND account_id = c->>'account' AND session = c->>'session' AND proof_ref IS NULL
      AND failures < 5 AND created_at > p_now - interval '5 minutes';
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'challenge_gone' END;
  IF NOT o_ok THEN RETURN; END IF;
  o_ok := use_passkey(c->>'account', c->'passkey', p_now);
  o_code := CASE WHEN o_ok THEN NULL ELSE 'counter_regressed' END;
  UPDATE step_up_challenge SET failures = failures + CASE WHEN o_ok THEN 0 ELSE 1 END,
      proof_ref = CASE WHEN o_ok THEN c->>'proof_ref' END,
      proof_until = CASE WHEN o_ok THEN p_now + interval '120 seconds' END
    WHERE ref = c->>'ref';
END $$;

-- With the digest: a passkey signs it together with the challenge.
DROP FUNCTION find_challenge(text, text);
CREATE FUNCTION find_challenge(p_ref text, p_session text) RETURNS TABLE (operation text, digest text, totp_secret bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT c.operation, c.digest, a.totp_secret FROM step_up_challenge c JOIN account a ON a.id = c.account_id
  WHERE c.ref = p_ref AND c.session = p_session AND c.failures < 5 AND c.proof_ref IS NULL
    AND c.created_at > now() - interval '5 minutes'
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION has_passkey(text), list_passkeys(text), take_webauthn_challenge(text, text, text),
  find_challenge(text, text) TO strongroom_app;
