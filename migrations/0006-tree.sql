-- The log as a Merkle tree (RFC 9162, section 2.1) and its signed checkpoints. audit.md, "How tampering shows".
-- Level 0 are the leaves. Above it every perfect subtree is stored once, when its last leaf is there, and never again:
-- whatever the size, a root or a proof reads one node per level.

CREATE TABLE tree_node (
  level integer NOT NULL CHECK (level BETWEEN 1 AND 62),
  index bigint NOT NULL CHECK (index >= 0),                      -- covers the leaves [index * 2^level, (index + 1) * 2^level)
  hash  bytea NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (level, index)
);

-- The one row that a leader locks: how many leaves the nodes cover, and who may extend them. Whoever begins to lead
-- raises the epoch; what an earlier leader still has under way is then refused.
CREATE TABLE tree (
  id        boolean PRIMARY KEY DEFAULT true CHECK (id),
  size      bigint NOT NULL DEFAULT 0,
  epoch     bigint NOT NULL DEFAULT 0,
  leader    text,
  led_since timestamptz
);
INSERT INTO tree DEFAULT VALUES;

-- What was signed. `note` is the whole signed note (C2SP tlog-checkpoint), the other columns are copies of what it says.
CREATE TABLE checkpoint (
  size      bigint PRIMARY KEY CHECK (size > 0),
  root      bytea NOT NULL CHECK (length(root) = 32),
  note      text NOT NULL,
  epoch     bigint NOT NULL,
  signed_at timestamptz NOT NULL
);

-- The key that signs, as every replica must hold it: another key would fork the log for whoever verifies it.
CREATE TABLE signing_key (
  public_key    bytea PRIMARY KEY CHECK (length(public_key) = 32),
  origin        text NOT NULL,
  registered_at timestamptz NOT NULL
);

CREATE TRIGGER tree_node_append_only BEFORE UPDATE OR DELETE ON tree_node FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER tree_node_no_truncate BEFORE TRUNCATE ON tree_node FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER checkpoint_append_only BEFORE UPDATE OR DELETE ON checkpoint FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER checkpoint_no_truncate BEFORE TRUNCATE ON checkpoint FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER signing_key_append_only BEFORE UPDATE OR DELETE ON signing_key FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER signing_key_no_truncate BEFORE TRUNCATE ON signing_key FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Leads, or returns NULL while another session does. The lock lives as long as the session; a leader that is stopped
-- in its tracks says nothing for five seconds and loses its session, and with it the lock.
CREATE FUNCTION lead_tree(p_instance text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
DECLARE
  v_epoch bigint;
BEGIN
  IF NOT pg_try_advisory_lock(hashtextextended('strongroom.signer', 0)) THEN RETURN NULL; END IF;
  PERFORM set_config('idle_session_timeout', '5s', false), set_config('synchronous_commit', 'on', true);
  UPDATE tree SET epoch = epoch + 1, leader = p_instance, led_since = clock_timestamp() WHERE id RETURNING epoch INTO v_epoch;
  RETURN v_epoch;
END $$;

-- Takes at most p_limit more leaves into the tree, level by level, each in one statement. Records that were committed
-- when this began are seen; the head is not locked, so nothing that is admitted waits for it.
CREATE FUNCTION extend_tree(p_epoch bigint, p_limit integer) RETURNS TABLE (o_size bigint, o_log bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
  v_from bigint;
  v_size bigint;
  v_log bigint;
  v_level integer := 1;
  v_first bigint;
  v_end bigint;
  v_made bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  SELECT t.size INTO v_from FROM tree t WHERE t.id AND t.epoch = p_epoch FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'another gateway signs now' USING ERRCODE = 'object_not_in_prerequisite_state'; END IF;
  SELECT h.size INTO v_log FROM head h;
  v_size := least(v_log, v_from + p_limit);
  LOOP
    v_first := v_from >> v_level;
    v_end := v_size >> v_level;
    EXIT WHEN v_first >= v_end;
    -- RFC 9162, section 2.1.1: a node is SHA-256(0x01 || left || right).
    IF v_level = 1 THEN
      INSERT INTO tree_node (level, index, hash)
        SELECT 1, l.seq >> 1, sha256('\x01'::bytea || string_agg(l.hash, ''::bytea ORDER BY l.seq))
        FROM leaf l WHERE l.seq >= v_first << 1 AND l.seq < v_end << 1 GROUP BY l.seq >> 1 HAVING count(*) = 2;
    ELSE
      INSERT INTO tree_node (level, index, hash)
        SELECT v_level, n.index >> 1, sha256('\x01'::bytea || string_agg(n.hash, ''::bytea ORDER BY n.index))
        FROM tree_node n WHERE n.level = v_level - 1 AND n.index >= v_first << 1 AND n.index < v_end << 1
        GROUP BY n.index >> 1 HAVING count(*) = 2;
    END IF;
    GET DIAGNOSTICS v_made = ROW_COUNT;
    IF v_made <> v_end - v_first THEN
      RAISE EXCEPTION 'leaf % of the log is gone', coalesce((
          SELECT min(s) FROM generate_series(v_first << v_level, (v_end << v_level) - 1) s
          WHERE NOT EXISTS (SELECT FROM leaf l WHERE l.seq = s))::text, 'or a node before ' || (v_end << v_level))
        USING ERRCODE = 'data_corrupted';
    END IF;
    v_level := v_level + 1;
  END LOOP;
  IF v_size > v_from THEN UPDATE tree SET size = v_size WHERE id; END IF;
  RETURN QUERY SELECT greatest(v_size, v_from), v_log;
END $$;

-- Publishes a checkpoint. Sizes only grow, and none is signed twice.
CREATE FUNCTION put_checkpoint(p_epoch bigint, p_size bigint, p_root bytea, p_note text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
DECLARE
  v_size bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  SELECT t.size INTO v_size FROM tree t WHERE t.id AND t.epoch = p_epoch FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'another gateway signs now' USING ERRCODE = 'object_not_in_prerequisite_state'; END IF;
  IF p_size > v_size OR EXISTS (SELECT FROM checkpoint c WHERE c.size >= p_size) THEN
    RAISE EXCEPTION 'a checkpoint of % does not follow', p_size USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  INSERT INTO checkpoint (size, root, note, epoch, signed_at) VALUES (p_size, p_root, p_note, p_epoch, clock_timestamp());
END $$;

-- The first key stays. Returns the one in force.
CREATE FUNCTION register_signing_key(p_origin text, p_key bytea) RETURNS TABLE (origin text, public_key bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
BEGIN
  PERFORM FROM tree t WHERE t.id FOR UPDATE;
  IF NOT EXISTS (SELECT FROM signing_key) THEN
    INSERT INTO signing_key (public_key, origin, registered_at) VALUES (p_key, p_origin, clock_timestamp());
  END IF;
  RETURN QUERY SELECT k.origin, k.public_key FROM signing_key k;
END $$;

CREATE FUNCTION tree_state() RETURNS TABLE (size bigint, log bigint, epoch bigint, leader text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT t.size, h.size, t.epoch, t.leader FROM tree t, head h
$$;

-- Nodes in the order asked for; NULL where there is none. Here and below no scans of whole tables: a plan that was made
-- while the log was short stays with its connection.
CREATE FUNCTION tree_nodes(p_levels integer[], p_indexes bigint[]) RETURNS TABLE (ord bigint, hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp SET enable_seqscan = off
AS $$
  SELECT w.ord, CASE WHEN w.level = 0 THEN (SELECT l.hash FROM leaf l WHERE l.seq = w.index)
                     ELSE (SELECT n.hash FROM tree_node n WHERE n.level = w.level AND n.index = w.index) END
  FROM unnest(p_levels, p_indexes) WITH ORDINALITY AS w (level, index, ord) ORDER BY w.ord
$$;

CREATE FUNCTION latest_checkpoint() RETURNS TABLE (size bigint, root bytea, note text, epoch bigint, signed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp SET enable_seqscan = off AS $$
  SELECT c.size, c.root, c.note, c.epoch, c.signed_at FROM checkpoint c ORDER BY c.size DESC LIMIT 1
$$;

CREATE FUNCTION checkpoint_at(p_size bigint) RETURNS TABLE (size bigint, root bytea, note text, epoch bigint, signed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp SET enable_seqscan = off AS $$
  SELECT c.size, c.root, c.note, c.epoch, c.signed_at FROM checkpoint c WHERE c.size = p_size
$$;

-- The records of one's own request: nobody else's, whatever the id.
CREATE FUNCTION own_receipt(p_subject text, p_request text)
RETURNS TABLE (seq bigint, kind text, record text, leaf bytea, opening bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp SET enable_seqscan = off AS $$
  SELECT e.seq, e.kind, e.record, l.hash, o.key
  FROM entry e JOIN leaf l ON l.seq = e.seq LEFT JOIN opening o ON o.seq = e.seq
  WHERE e.request_id = p_request AND e.actor = p_subject AND e.kind IN ('intent', 'outcome') ORDER BY e.seq
$$;

REVOKE ALL ON FUNCTION lead_tree(text), extend_tree(bigint, integer), put_checkpoint(bigint, bigint, bytea, text),
  register_signing_key(text, bytea), tree_state(), tree_nodes(integer[], bigint[]), latest_checkpoint(),
  checkpoint_at(bigint), own_receipt(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lead_tree(text), extend_tree(bigint, integer), put_checkpoint(bigint, bigint, bytea, text),
  register_signing_key(text, bytea), tree_state(), tree_nodes(integer[], bigint[]), latest_checkpoint(),
  checkpoint_at(bigint), own_receipt(text, text) TO strongroom_app;
-- Hashes and signatures say nothing of who did what: seven days are a limit of records, not of these.
GRANT SELECT ON tree_node, tree, checkpoint, signing_key TO strongroom_auditor;
