-- A person's name is erased, and the log still verifies: records hold opaque ids, names stand beside them alone.

-- `account.erase`: {"id"}. Only of an account that was disabled before. What could say who that was goes with it: name,
-- attributes, password, factors, sessions, keys and their names, the subject at an identity provider. A name in a sentence that
-- somebody confirmed becomes the id.
CREATE FUNCTION change_account_erase(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v account;
BEGIN
  o_ok := false;
  SELECT * INTO v FROM account WHERE id = c->>'id';
  IF NOT FOUND THEN o_code := 'not_found';  RETURN; END IF;
  IF v.disabled_at IS NULL THEN o_code := 'not_disabled';  RETURN; END IF;
  PERFORM revoke_keys(v.id, p_now);
  DELETE FROM quota_limit WHERE scope = 'user:' || v.id;
  DELETE FROM webauthn_challenge WHERE account_id = v.id;
  DELETE FROM passkey WHERE account_id = v.id;
  DELETE FROM recovery_code WHERE account_id = v.id;
  DELETE FROM enrolment WHERE account_id = v.id;
  DELETE FROM step_up_challenge WHERE account_id = v.id;
  DELETE FROM api_key WHERE account_id = v.id;
  DELETE FROM session WHERE account_id = v.id;
  UPDATE step_up_challenge SET operation = replace(operation, v.username, v.id) WHERE strpos(operation, v.username) > 0;
  DELETE FROM actor_name WHERE actor = v.id;
  DELETE FROM account WHERE id = v.id;
  o_ok := true;
END $$;
REVOKE ALL ON FUNCTION change_account_erase(json, timestamptz) FROM PUBLIC;
