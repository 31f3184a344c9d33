-- Every load that an admin asks for is followed on every replica, also of a model that was in service already: where it
-- had failed it gets another chance. So the number of the last load is kept beside that of the last change.
ALTER TABLE model_state ADD COLUMN loaded bigint NOT NULL DEFAULT 0;

-- {"model", "by", "in_service"?, "pinned"?, "pinned_as_configured"}, as before.
CREATE OR REPLACE FUNCTION change_model_set(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_number bigint := (SELECT coalesce(max(number), 0) + 1 FROM model_state);
  v_loads boolean := coalesce((c->>'in_service')::boolean, false);
BEGIN
  INSERT INTO model_state AS m (model, number, in_service, pinned, changed_by, changed_at, loaded)
    VALUES (c->>'model', v_number, coalesce((c->>'in_service')::boolean, true),
            coalesce((c->>'pinned')::boolean, (c->>'pinned_as_configured')::boolean, false), c->>'by', p_now,
            CASE WHEN v_loads THEN v_number ELSE 0 END)
    ON CONFLICT (model) DO UPDATE SET number = excluded.number, changed_by = excluded.changed_by, changed_at = excluded.changed_at,
      in_service = coalesce((c->>'in_service')::boolean, m.in_service), pinned = coalesce((c->>'pinned')::boolean, m.pinned),
      loaded = CASE WHEN v_loads THEN excluded.number ELSE m.loaded END;
  SELECT json_build_object('number', number, 'in_service', in_service, 'pinned', pinned) INTO o_detail
    FROM model_state WHERE model = c->>'model';
  o_ok := true;
END $$;

-- `model_states()` stays for gateways of the release before, while they are replaced.
CREATE FUNCTION desired_states() RETURNS TABLE (model text, number bigint, in_service boolean, pinned boolean, loaded bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT model, number, in_service, pinned, loaded FROM model_state
$$;
REVOKE ALL ON FUNCTION desired_states() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION desired_states() TO strongroom_app;
