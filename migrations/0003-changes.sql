-- Every change that is recorded, by name. Runs inside commit_batch, under the head lock, in the same transaction as
-- its record: there is no change without a record and no record of a change that did not happen.
CREATE FUNCTION apply_change(p_op text, c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_challenge step_up_challenge;
BEGIN
  o_ok := true;
  CASE p_op
  WHEN 'account.create' THEN
    INSERT INTO account (id, username, password_hash, password_changed_at, roles, department, clearance, totp_secret, created_at)
      VALUES (c->>'id', c->>'username', c->>'password_hash', p_now,
              ARRAY(SELECT json_array_elements_text(c->'roles')), c->>'department', (c->>'clearance')::integer,
              decode(c->>'totp_secret', 'hex'), p_now)
      ON CONFLICT (username) DO NOTHING;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'username_taken' END;
    IF o_ok THEN
      INSERT INTO actor_name (actor, name) VALUES (c->>'id', c->>'username');
    END IF;

  WHEN 'session.end' THEN
    UPDATE session SET ended_at = p_now WHERE ref = c->>'ref' AND ended_at IS NULL;

  WHEN 'password.set' THEN
    UPDATE account SET password_hash = c->>'password_hash', password_changed_at = p_now, epoch = epoch + 1
      WHERE id = c->>'account' AND epoch = (c->>'epoch')::bigint AND disabled_at IS NULL;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'account_changed' END;
    IF o_ok THEN
      UPDATE session SET ended_at = p_now WHERE account_id = c->>'account' AND ended_at IS NULL;
    END IF;

  WHEN 'key.revoke' THEN
    UPDATE api_key SET revoked_at = p_now WHERE id = c->>'id' AND account_id = c->>'account' AND revoked_at IS NULL;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;

  WHEN 'step_up.challenge' THEN
    INSERT INTO step_up_challenge (ref, account_id, session, digest, operation, created_at)
      VALUES (c->>'ref', c->>'account', c->>'session', c->>'digest', c->>'operation', p_now);

  WHEN 'step_up.prove' THEN
    -- A challenge survives five wrong codes. A code of a spent time step is told apart: it was no guess.
    SELECT * INTO v_challenge FROM step_up_challenge
      WHERE ref = c->>'ref' AND account_id = c->>'account' AND session = c->>'session' AND proof_ref IS NULL
        AND failures < 5 AND created_at > p_now - interval '5 minutes';
    IF NOT FOUND THEN
      o_ok := false;  o_code := 'challenge_gone';
    ELSIF c->>'totp_step' IS NULL THEN
      UPDATE step_up_challenge SET failures = failures + 1 WHERE ref = c->>'ref';
      o_ok := false;  o_code := 'wrong_code';
    ELSE
      UPDATE account SET totp_last_step = (c->>'totp_step')::bigint
        WHERE id = c->>'account' AND disabled_at IS NULL AND totp_last_step < (c->>'totp_step')::bigint;
      o_ok := FOUND;
      o_code := CASE WHEN o_ok THEN NULL ELSE 'code_used' END;
      IF o_ok THEN
        UPDATE step_up_challenge SET proof_ref = c->>'proof_ref', proof_until = p_now + interval '120 seconds'
          WHERE ref = c->>'ref';
      END IF;
    END IF;

  WHEN 'policy.put' THEN
    INSERT INTO policy_version (version, model, policy, sha256, created_by, created_at)
      SELECT coalesce(max(version), 0) + 1, c->>'model', c->>'policy', c->>'sha256', c->>'by', p_now FROM policy_version
      HAVING coalesce(max(version), 0) = (c->>'after')::bigint;
    o_ok := FOUND;
    o_code := CASE WHEN o_ok THEN NULL ELSE 'version_conflict' END;

  ELSE
    RAISE EXCEPTION 'unknown change %', p_op USING ERRCODE = 'invalid_parameter_value';
  END CASE;
END $$;

-- What the application may look up. It holds EXECUTE on these and on commit_batch, and no right on any table.

CREATE FUNCTION find_account(p_username text)
RETURNS TABLE (id text, username text, password_hash text, roles text[], department text, clearance integer,
               totp_secret bytea, totp_last_step bigint, epoch bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, username, password_hash, roles, department, clearance, totp_secret, totp_last_step, epoch
  FROM account WHERE username = p_username AND disabled_at IS NULL
$$;

CREATE FUNCTION count_accounts() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$ SELECT count(*) FROM account $$;

-- A principal by session (`p_ref` = SHA-256 of the token) or by API key (SHA-256 of the key).
CREATE FUNCTION find_principal(p_kind text, p_ref text)
RETURNS TABLE (subject text, username text, roles text[], department text, clearance integer, has_totp boolean,
               epoch bigint, credential text, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT a.id, a.username, a.roles, a.department, a.clearance, a.totp_secret IS NOT NULL, a.epoch, s.ref, s.expires_at
  FROM session s JOIN account a ON a.id = s.account_id
  WHERE p_kind = 'session' AND s.ref = p_ref AND s.ended_at IS NULL AND s.expires_at > now()
    AND s.last_seen_at + make_interval(secs => s.idle_seconds) > now() AND a.disabled_at IS NULL
  UNION ALL
  SELECT a.id, a.username, a.roles, a.department, a.clearance, a.totp_secret IS NOT NULL, a.epoch, k.id, k.expires_at
  FROM api_key k JOIN account a ON a.id = k.account_id
  WHERE p_kind = 'api_key' AND k.secret_hash = p_ref AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > now()) AND a.disabled_at IS NULL
$$;

-- The read batch: the same judgement as admission's, without the lock. It changes nothing: only admissions keep a
-- session from idling, since whoever updates sessions must hold the head lock.
CREATE FUNCTION check_principals(p_principals json) RETURNS TABLE (o_ord integer, o_verdict text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT j.o_ord, j.o_verdict FROM judge_principals(p_principals, clock_timestamp()) j;
END $$;

CREATE FUNCTION list_keys(p_account text)
RETURNS TABLE (id text, name text, created_at timestamptz, expires_at timestamptz, last_used_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT id, name, created_at, expires_at, last_used_at FROM api_key
  WHERE account_id = p_account AND revoked_at IS NULL ORDER BY created_at DESC
$$;

CREATE FUNCTION find_challenge(p_ref text, p_session text) RETURNS TABLE (operation text, totp_secret bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT c.operation, a.totp_secret FROM step_up_challenge c JOIN account a ON a.id = c.account_id
  WHERE c.ref = p_ref AND c.session = p_session AND c.failures < 5 AND c.proof_ref IS NULL
    AND c.created_at > now() - interval '5 minutes'
$$;

CREATE FUNCTION usage_today(p_subject text, p_scopes text[], p_zone text)
RETURNS TABLE (kind text, amount bigint, used bigint, day text, resets_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT k.kind, coalesce(quota_limit_of(p_scopes, k.kind), 0), coalesce(u.used, 0), d.day::text,
         (d.day + 1)::timestamp AT TIME ZONE p_zone
  FROM (VALUES ('requests_day'), ('tokens_day')) AS k (kind)
  CROSS JOIN (SELECT (clock_timestamp() AT TIME ZONE p_zone)::date AS day) d
  LEFT JOIN quota_usage u ON u.subject = p_subject AND u.kind = k.kind AND u.window_start = d.day
$$;

CREATE FUNCTION current_policy() RETURNS TABLE (version bigint, model text, policy text, sha256 text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT version, model, policy, sha256 FROM policy_version ORDER BY version DESC LIMIT 1
$$;

-- Keeps an idle gateway's lease. Same rule as in commit_batch: a lease that had run out starts a new epoch.
CREATE FUNCTION renew_lease(p_instance text) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  INSERT INTO instance AS i (id, started_at, lease_until)
    VALUES (p_instance, clock_timestamp(), clock_timestamp() + interval '10 s')
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until,
      epoch = i.epoch + CASE WHEN i.lease_until < clock_timestamp() THEN 1 ELSE 0 END
    RETURNING epoch
$$;

-- Intents whose gateway's lease has run out: their outcome is not known to anybody any more.
CREATE FUNCTION orphaned_intents()
RETURNS TABLE (event_id uuid, request_id text, actor text, action text, resource text, kind text, seq bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT o.event_id, o.request_id, o.actor, o.action, o.resource, o.kind, o.seq
  FROM open_intent o LEFT JOIN instance i ON i.id = o.instance AND i.epoch = o.epoch
  WHERE i.id IS NULL OR i.lease_until < clock_timestamp() ORDER BY o.seq LIMIT 128
$$;

-- Once a minute: partitions ahead of need, and what has outlived its use. One gateway at a time; rows that somebody holds
-- are left for the next minute, since waiting without the head lock is how deadlocks begin. Ids go in small portions for
-- two seconds at most, so that a backlog of any size is worked off within the statement timeout.
CREATE FUNCTION keep_house() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
DECLARE
  v_head head;
  v_now timestamptz := clock_timestamp();
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('strongroom.keep_house')) THEN RETURN; END IF;
  SELECT * INTO v_head FROM head;
  IF v_head.covered < v_head.size + 1048576 THEN
    PERFORM cover_log(v_head.covered + 1048576);
    RETURN;
  END IF;
  DELETE FROM session WHERE ref IN (
    SELECT s.ref FROM session s WHERE s.expires_at < v_now - interval '1 day' FOR UPDATE SKIP LOCKED);
  DELETE FROM step_up_challenge WHERE ref IN (
    SELECT c.ref FROM step_up_challenge c WHERE c.created_at < v_now - interval '1 day' FOR UPDATE SKIP LOCKED);
  DELETE FROM quota_usage WHERE (subject, kind, window_start) IN (
    SELECT u.subject, u.kind, u.window_start FROM quota_usage u
    WHERE u.window_start < (v_now - interval '8 days')::date FOR UPDATE SKIP LOCKED);
  DELETE FROM instance WHERE id IN (
    SELECT i.id FROM instance i WHERE i.lease_until < v_now - interval '1 day'
      AND NOT EXISTS (SELECT FROM open_intent o WHERE o.instance = i.id) FOR UPDATE SKIP LOCKED);
  LOOP
    DELETE FROM dedupe WHERE ctid = ANY (ARRAY(
      SELECT d.ctid FROM dedupe d WHERE d.created_at < v_now - interval '24 hours' ORDER BY d.created_at LIMIT 5000));
    EXIT WHEN NOT FOUND OR clock_timestamp() > v_now + interval '2 s';
  END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION commit_batch(text, text, json, json, json), check_principals(json), find_account(text), count_accounts(),
  find_principal(text, text), list_keys(text), find_challenge(text, text), usage_today(text, text[], text),
  current_policy(), renew_lease(text), orphaned_intents(), keep_house() TO strongroom_app;
-- The start compares what was applied with the program's own files.
GRANT SELECT ON migration TO strongroom_app, strongroom_auditor;
