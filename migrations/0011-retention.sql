-- Retention, legal holds, a signer of its own, rotation of the key that signs. src/decisions/0008 and 0009.
-- What drops bodies or puts another key in force is `strongroom_keeper`: a person at the command line, never the login
-- that serves requests.

-- Holds are queries: what matches one, now or later, is kept until it is released.
CREATE TABLE legal_hold (
  id             text PRIMARY KEY,
  actor          text,
  action         text,
  resource       text,
  request_id     text,
  since          timestamptz,
  until          timestamptz,
  reason         text NOT NULL,
  placed_by      text NOT NULL,
  placed_at      timestamptz NOT NULL,
  released_by    text,
  release_reason text,
  released_at    timestamptz,
  CHECK (num_nonnulls(actor, action, resource, request_id, since, until) > 0)
);

-- Bodies that are gone; leaves, nodes and checkpoints stay. `announced`: the record of it stands at this seq or behind.
CREATE TABLE dropped_range (
  from_seq   bigint PRIMARY KEY,
  to_seq     bigint NOT NULL CHECK (to_seq > from_seq),
  newest     timestamptz NOT NULL,
  announced  bigint NOT NULL CHECK (announced >= to_seq),
  dropped_at timestamptz NOT NULL CHECK (dropped_at >= newest + interval '4416 hours')
);
CREATE TRIGGER dropped_append_only BEFORE UPDATE OR DELETE ON dropped_range FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER dropped_no_truncate BEFORE TRUNCATE ON dropped_range FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION require_keeper() RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  -- Of the session's login: the functions here run as the owner.
  IF NOT pg_has_role(session_user, 'strongroom_keeper', 'MEMBER') THEN
    RAISE EXCEPTION 'only a member of strongroom_keeper may do this' USING ERRCODE = 'insufficient_privilege';
  END IF;
END $$;

CREATE FUNCTION log_partitions() RETURNS TABLE (name text, from_seq bigint, to_seq bigint) LANGUAGE sql STABLE AS $$
  SELECT c.relname::text, b[1]::bigint, b[2]::bigint
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), $r$FROM \('?(\d+)'?\) TO \('?(\d+)'?\)$r$) b
  WHERE i.inhparent = 'strongroom.entry'::regclass ORDER BY 2
$$;

-- Closes a partition that is a month old and not full, so that a small bank's records go in time, too: its end becomes
-- the next multiple of 256 (an entry bundle of tlog-tiles never lies across two), a new partition takes the rest.
-- Detaching locks the table: whoever reads longer than two seconds puts it off. Returns the new end, or NULL.
CREATE FUNCTION cut_log() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  v_size bigint;
  v_end bigint;
  v_name text;
  p record;
BEGIN
  PERFORM require_keeper();
  SELECT h.size INTO v_size FROM head h WHERE h.id FOR UPDATE;
  v_end := ((v_size + 255) / 256) * 256;
  SELECT * INTO p FROM log_partitions() l WHERE l.from_seq < v_end AND l.to_seq > v_end;
  IF NOT FOUND OR (SELECT e.at FROM entry e WHERE e.seq = p.from_seq) > clock_timestamp() - interval '30 days' THEN
    RETURN NULL;
  END IF;
  v_name := format('entry_%s_%s', lpad((v_end / 1048576)::text, 6, '0'), v_end);
  EXECUTE format('ALTER TABLE entry DETACH PARTITION %I', p.name);
  EXECUTE format('ALTER TABLE entry ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', p.name, p.from_seq, v_end);
  EXECUTE format('CREATE TABLE %I (LIKE entry INCLUDING ALL, CHECK (seq >= %s AND seq < %s))', v_name, v_end, p.to_seq);
  EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', v_name);
  EXECUTE format('ALTER TABLE entry ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', v_name, v_end, p.to_seq);
  RETURN v_end;
END $$;

-- The first hold that a record there matches. A query of its own for each, with only what it names: then indexes serve.
CREATE FUNCTION hold_over(p_from bigint, p_to bigint) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  h legal_hold;
  v_found boolean;
BEGIN
  FOR h IN SELECT * FROM legal_hold WHERE released_at IS NULL ORDER BY placed_at, id LOOP
    EXECUTE 'SELECT EXISTS (SELECT FROM entry e WHERE e.seq >= $1 AND e.seq < $2'
      || CASE WHEN h.actor IS NULL THEN '' ELSE ' AND e.actor = $3' END
      || CASE WHEN h.action IS NULL THEN '' ELSE ' AND e.action = $4' END
      || CASE WHEN h.resource IS NULL THEN '' ELSE ' AND e.resource = $5' END
      || CASE WHEN h.request_id IS NULL THEN '' ELSE ' AND e.request_id = $6' END
      || CASE WHEN h.since IS NULL THEN '' ELSE ' AND e.at >= $7' END
      || CASE WHEN h.until IS NULL THEN '' ELSE ' AND e.at < $8' END || ')'
      INTO v_found USING p_from, p_to, h.actor, h.action, h.resource, h.request_id, h.since, h.until;
    IF v_found THEN RETURN h.id; END IF;
  END LOOP;
  RETURN NULL;
END $$;

-- May the bodies from p_from up to p_to go? `due`, or why not.
CREATE FUNCTION retention_verdict(p_from bigint, p_to bigint, p_days integer, p_now timestamptz,
                                  OUT o_verdict text, OUT o_newest timestamptz, OUT o_hold text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF (p_days >= 184) IS NOT TRUE THEN
    RAISE EXCEPTION 'records are kept for 184 days at least' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  o_verdict := 'open';
  IF p_to > (SELECT h.size FROM head h) THEN RETURN; END IF;
  SELECT max(e.at) INTO o_newest FROM entry e WHERE e.seq >= p_from AND e.seq < p_to;
  o_verdict := 'young';
  IF o_newest > p_now - make_interval(hours => p_days * 24) THEN RETURN; END IF;
  o_verdict := 'intents';
  IF EXISTS (SELECT FROM open_intent o WHERE o.seq >= p_from AND o.seq < p_to) THEN RETURN; END IF;
  o_verdict := 'unsigned';
  IF p_to > (SELECT t.size FROM tree t) OR NOT EXISTS (SELECT FROM checkpoint c WHERE c.size >= p_to) THEN RETURN; END IF;
  o_hold := hold_over(p_from, p_to);
  o_verdict := 'held';
  IF o_hold IS NOT NULL THEN RETURN; END IF;
  o_verdict := 'incomplete';
  IF (SELECT count(*) FROM entry e JOIN leaf l ON l.seq = e.seq WHERE e.seq >= p_from AND e.seq < p_to) <> p_to - p_from THEN
    RETURN;
  END IF;
  o_verdict := 'due';
END $$;

-- `from-to,from-to`: all that was dropped so far, and this range with it. `to` is not included.
CREATE FUNCTION dropped_text(p_from bigint, p_to bigint) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT string_agg(lower(r) || '-' || upper(r), ',' ORDER BY lower(r))
  FROM unnest((SELECT range_agg(int8range(x.f, x.t)) FROM (
    SELECT d.from_seq AS f, d.to_seq AS t FROM dropped_range d UNION ALL SELECT p_from, p_to) x)) r
$$;

-- What each partition waits for. `newest` as it stands in records.
CREATE FUNCTION retention_state(p_days integer)
RETURNS TABLE (from_seq bigint, to_seq bigint, verdict text, newest text, hold text, dropped text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp SET enable_seqscan = off AS $$
BEGIN
  RETURN QUERY
    SELECT l.from_seq, l.to_seq, v.o_verdict, to_char(v.o_newest AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           v.o_hold, dropped_text(l.from_seq, l.to_seq)
    FROM log_partitions() l, retention_verdict(l.from_seq, l.to_seq, p_days, clock_timestamp()) v ORDER BY 1;
END $$;

-- Drops the bodies of one partition with the record of it. Judged again under the head lock: a hold that was placed
-- meanwhile counts, and what the record claims is what is there.
CREATE FUNCTION change_audit_drop(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE SET lock_timeout = '2s' AS $$
DECLARE
  v_from bigint := (c->>'from')::bigint;
  v_to bigint := (c->>'to')::bigint;
  v_name text;
  v record;
BEGIN
  PERFORM require_keeper();
  SELECT l.name INTO v_name FROM log_partitions() l WHERE l.from_seq = v_from AND l.to_seq = v_to;
  SELECT * INTO v FROM retention_verdict(v_from, v_to, (c->>'days')::integer, p_now);
  o_code := CASE WHEN v_name IS NULL THEN 'no_partition'
                 WHEN v.o_verdict <> 'due' THEN v.o_verdict
                 WHEN to_char(v.o_newest AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') IS DISTINCT FROM c->>'newest'
                   OR dropped_text(v_from, v_to) IS DISTINCT FROM c->>'dropped' THEN 'changed' END;
  o_ok := o_code IS NULL;
  IF NOT o_ok THEN RETURN; END IF;
  EXECUTE format('DROP TABLE %I', v_name);
  INSERT INTO dropped_range (from_seq, to_seq, newest, announced, dropped_at)
    SELECT v_from, v_to, v.o_newest, h.size, p_now FROM head h;
END $$;

-- The keys of their commitments go as well, in portions: nothing waits for it, and what is left goes the next time.
CREATE FUNCTION forget_openings(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_gone bigint;
BEGIN
  PERFORM require_keeper();
  DELETE FROM opening WHERE seq = ANY (ARRAY(
    SELECT o.seq FROM dropped_range d JOIN opening o ON o.seq >= d.from_seq AND o.seq < d.to_seq LIMIT p_limit));
  GET DIAGNOSTICS v_gone = ROW_COUNT;
  RETURN v_gone;
END $$;

-- Of the newest body that is gone: what a holder of an old receipt is told.
CREATE FUNCTION dropped_until() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$ SELECT max(d.newest) FROM dropped_range d $$;

CREATE FUNCTION change_hold_place(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO legal_hold (id, actor, action, resource, request_id, since, until, reason, placed_by, placed_at)
    VALUES (c->>'id', c->>'actor', c->>'action', c->>'resource', c->>'request_id', (c->>'from')::timestamptz,
            (c->>'to')::timestamptz, c->>'reason', c->>'by', p_now);
  o_ok := true;
END $$;

CREATE FUNCTION change_hold_release(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE legal_hold SET released_by = c->>'by', release_reason = c->>'reason', released_at = p_now
    WHERE id = c->>'id' AND released_at IS NULL;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'not_found' END;
END $$;

CREATE FUNCTION list_holds()
RETURNS TABLE (id text, actor text, action text, resource text, request_id text, since timestamptz, until timestamptz,
               reason text, placed_by text, placed_at timestamptz, released_by text, release_reason text, released_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT h.id, h.actor, h.action, h.resource, h.request_id, h.since, h.until, h.reason, h.placed_by, h.placed_at,
         h.released_by, h.release_reason, h.released_at
  FROM legal_hold h ORDER BY h.placed_at DESC, h.id
$$;

-- A key is in force for checkpoints larger than `from_size`. `note`: the rotation, signed by it and the key before it.
ALTER TABLE signing_key ADD COLUMN from_size bigint NOT NULL DEFAULT 0, ADD COLUMN note text;

CREATE OR REPLACE FUNCTION register_signing_key(p_origin text, p_key bytea) RETURNS TABLE (origin text, public_key bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
BEGIN
  PERFORM FROM tree t WHERE t.id FOR UPDATE;
  IF NOT EXISTS (SELECT FROM signing_key) THEN
    INSERT INTO signing_key (public_key, origin, registered_at) VALUES (p_key, p_origin, clock_timestamp());
  END IF;
  RETURN QUERY SELECT k.origin, k.public_key FROM signing_key k ORDER BY k.from_size DESC, k.registered_at DESC LIMIT 1;
END $$;

CREATE FUNCTION signing_keys() RETURNS TABLE (origin text, public_key bytea, from_size bigint, note text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT k.origin, k.public_key, k.from_size, k.note FROM signing_key k ORDER BY k.from_size, k.registered_at
$$;

-- Puts a key in force for all checkpoints behind the last one. Who leads is fenced off and begins anew, with that key.
-- The database can't check signatures: whoever reads the note does.
CREATE FUNCTION change_signing_key_rotate(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_signed bigint;
BEGIN
  PERFORM require_keeper();
  PERFORM FROM tree t WHERE t.id FOR UPDATE;
  SELECT coalesce(max(k.size), 0) INTO v_signed FROM checkpoint k;
  o_code := CASE WHEN v_signed <> (c->>'size')::bigint THEN 'moved'
                 WHEN v_signed <= (SELECT max(k.from_size) FROM signing_key k) THEN 'unfinished' END;
  o_ok := o_code IS NULL;
  IF NOT o_ok THEN RETURN; END IF;
  INSERT INTO signing_key (public_key, origin, registered_at, from_size, note)
    SELECT decode(c->>'key', 'hex'), k.origin, p_now, v_signed, c->>'note' FROM signing_key k LIMIT 1;
  UPDATE tree SET epoch = epoch + 1 WHERE id;
END $$;

-- For the metrics. The first record of the last 24 hours is found by halving: time never runs backwards against seq.
CREATE FUNCTION log_growth() RETURNS TABLE (records bigint, day_records bigint, dropped bigint, covered bigint, bytes bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_since timestamptz := clock_timestamp() - interval '24 hours';
  v_low bigint := 0;
  v_high bigint;
  v_middle bigint;
BEGIN
  SELECT h.size INTO records FROM head h;
  v_high := records;
  WHILE v_low < v_high LOOP
    v_middle := (v_low + v_high) / 2;
    IF EXISTS (SELECT FROM entry e WHERE e.seq = v_middle AND e.at >= v_since) THEN v_high := v_middle;
    ELSE v_low := v_middle + 1;
    END IF;
  END LOOP;
  day_records := records - v_low;
  SELECT coalesce(sum(d.to_seq - d.from_seq), 0) INTO dropped FROM dropped_range d;
  SELECT t.size INTO covered FROM tree t;
  SELECT coalesce(sum(pg_total_relation_size(r)), 0) INTO bytes FROM (
    SELECT format('strongroom.%I', l.name)::regclass AS r FROM log_partitions() l
    UNION ALL SELECT unnest('{leaf,opening,tree_node,checkpoint}'::regclass[])) z;
  RETURN NEXT;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dropped_until(), list_holds(), signing_keys(), log_growth() TO strongroom_app;

-- Who signs is a role of its own: the login that serves requests can't put a checkpoint where another login may.
REVOKE EXECUTE ON FUNCTION lead_tree(text), extend_tree(bigint, integer), put_checkpoint(bigint, bigint, bytea, text)
  FROM strongroom_app;
GRANT USAGE ON SCHEMA strongroom TO strongroom_signer, strongroom_keeper;
GRANT EXECUTE ON FUNCTION lead_tree(text), extend_tree(bigint, integer), put_checkpoint(bigint, bigint, bytea, text)
  TO strongroom_signer;
GRANT SELECT ON migration TO strongroom_signer;
GRANT EXECUTE ON FUNCTION commit_batch(text, text, json, json, json), cut_log(), retention_state(integer),
  forget_openings(integer), signing_keys(), tree_state(), tree_nodes(integer[], bigint[]), latest_checkpoint(),
  checkpoint_at(bigint) TO strongroom_keeper;
GRANT SELECT ON dropped_range TO strongroom_verifier;
