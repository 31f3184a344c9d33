-- What each gateway says of its models, for the others: a second old at most, of no use after a crash, and so without WAL.
CREATE UNLOGGED TABLE replica_report (
  instance    text PRIMARY KEY,
  -- A digest: gateways of one database are meant to offer the same models.
  catalogue   text NOT NULL,
  reported_at timestamptz NOT NULL,
  report      json NOT NULL
);

-- Tells what changed (null: nothing did) and hears what those say that are alive.
CREATE FUNCTION exchange_reports(p_instance text, p_catalogue text, p_report json)
RETURNS TABLE (instance text, catalogue text, reported_at timestamptz, report json)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF p_report IS NOT NULL THEN
    INSERT INTO replica_report AS r (instance, catalogue, reported_at, report)
      VALUES (p_instance, p_catalogue, clock_timestamp(), p_report)
      ON CONFLICT (instance) DO UPDATE SET
        catalogue = excluded.catalogue, reported_at = excluded.reported_at, report = excluded.report;
  END IF;
  RETURN QUERY SELECT r.instance, r.catalogue, r.reported_at, r.report
    FROM replica_report r JOIN instance i ON i.id = r.instance AND i.lease_until > clock_timestamp()
    WHERE r.instance <> p_instance ORDER BY i.started_at, r.instance;
END $$;

-- A gateway that ends, and those that ended without a word.
CREATE FUNCTION withdraw_report(p_instance text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  DELETE FROM replica_report r WHERE r.instance = p_instance OR NOT EXISTS (
    SELECT FROM instance i WHERE i.id = r.instance AND i.lease_until > clock_timestamp() - interval '1 hour')
$$;

REVOKE ALL ON FUNCTION exchange_reports(text, text, json), withdraw_report(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION exchange_reports(text, text, json), withdraw_report(text) TO strongroom_app;
