-- A model may be pinned by its configuration. What an admin sets first is numbered as ever, and leaves that as it is unless
-- it is what he sets: {"model", "by", "in_service"?, "pinned"?, "pinned_as_configured"}.
CREATE FUNCTION change_model_set(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO model_state AS m (model, number, in_service, pinned, changed_by, changed_at)
    VALUES (c->>'model', (SELECT coalesce(max(number), 0) + 1 FROM model_state), coalesce((c->>'in_service')::boolean, true),
            coalesce((c->>'pinned')::boolean, (c->>'pinned_as_configured')::boolean, false), c->>'by', p_now)
    ON CONFLICT (model) DO UPDATE SET number = excluded.number, changed_by = excluded.changed_by, changed_at = excluded.changed_at,
      in_service = coalesce((c->>'in_service')::boolean, m.in_service), pinned = coalesce((c->>'pinned')::boolean, m.pinned);
  SELECT json_build_object('number', number, 'in_service', in_service, 'pinned', pinned) INTO o_detail
    FROM model_state WHERE model = c->>'model';
  o_ok := true;
END $$;
REVOKE ALL ON FUNCTION change_model_set(json, timestamptz) FROM PUBLIC;
