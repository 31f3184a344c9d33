-- A change is a function named after it: 'policy.import' is change_policy_import(c json, p_now timestamptz), with the OUT
-- arguments o_ok, o_code, o_detail. A later migration adds a change by adding its function; to widen one of the older
-- ones it defines the function of that name and hands on what it does not change to apply_named_change.
ALTER FUNCTION apply_change(text, json, timestamptz) RENAME TO apply_named_change;
CREATE FUNCTION apply_change(p_op text, c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  -- The op comes from our own code; the quoting is for the day it does not.
  v_name text := format('strongroom.%I', 'change_' || replace(p_op, '.', '_'));
BEGIN
  IF to_regprocedure(v_name || '(json, timestamptz)') IS NULL THEN
    SELECT * INTO o_ok, o_code, o_detail FROM apply_named_change(p_op, c, p_now);
  ELSE
    EXECUTE format('SELECT o_ok, o_code, o_detail FROM %s($1, $2)', v_name) INTO o_ok, o_code, o_detail USING c, p_now;
  END IF;
END $$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
