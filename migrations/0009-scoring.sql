-- Models that score encrypted customers. A version is never changed; one of them is active.
CREATE TABLE score_model (
  id             text NOT NULL,
  version        integer NOT NULL,
  sha256         text NOT NULL,                                  -- of `document`, hex
  document       text NOT NULL,
  classification integer NOT NULL,
  active         boolean NOT NULL,
  installed_by   text NOT NULL,
  installed_at   timestamptz NOT NULL,
  PRIMARY KEY (id, version)
);
CREATE UNIQUE INDEX score_model_active ON score_model (id) WHERE active;

CREATE FUNCTION change_score_model_install(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  -- A version once given is not given again, also not after a rollback.
  o_ok := NOT EXISTS (SELECT FROM score_model m WHERE m.id = c->>'id' AND m.version >= (c->>'version')::integer);
  o_code := CASE WHEN o_ok THEN NULL ELSE 'version_conflict' END;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE score_model m SET active = false WHERE m.id = c->>'id' AND m.active;
  INSERT INTO score_model (id, version, sha256, document, classification, active, installed_by, installed_at)
    VALUES (c->>'id', (c->>'version')::integer, c->>'sha256', c->>'document', (c->>'classification')::integer, true, c->>'by', p_now);
END $$;

-- version: the one to be active from now on; null: none, the model is out of service.
CREATE FUNCTION change_score_model_activate(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  o_ok := EXISTS (SELECT FROM score_model m
                  WHERE m.id = c->>'id' AND m.version = coalesce((c->>'version')::integer, m.version));
  o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;
  IF NOT o_ok THEN RETURN; END IF;
  UPDATE score_model m SET active = false WHERE m.id = c->>'id' AND m.active;
  UPDATE score_model m SET active = true WHERE m.id = c->>'id' AND m.version = (c->>'version')::integer;
END $$;

CREATE FUNCTION score_models(p_all boolean)
RETURNS TABLE (id text, version integer, sha256 text, document text, classification integer, active boolean, installed_by text,
               installed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT m.id, m.version, m.sha256, m.document, m.classification, m.active, m.installed_by, m.installed_at
  FROM score_model m WHERE p_all OR m.active ORDER BY m.id, m.version
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION score_models(boolean) TO strongroom_app;
