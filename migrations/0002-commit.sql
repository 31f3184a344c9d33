-- The one way into the log. audit.md, "How a record gets in": called as ONE autocommitted statement, judges each item
-- in order, appends each record with its own verdict.

-- Is a credential still good, and is what was decided about it still current? Shared by admission (under the head
-- lock) and by the read batch (without it). `p_principals`: [{"kind","ref","epoch","policy"}].
CREATE FUNCTION judge_principals(p_principals json, p_now timestamptz)
RETURNS TABLE (o_ord integer, o_verdict text) LANGUAGE sql STABLE
AS $$
  SELECT p.ord::integer,
         CASE WHEN a.id IS NULL OR a.disabled_at IS NOT NULL THEN 'revoked'
              WHEN a.epoch <> p.epoch OR p.policy <> (SELECT max(version) FROM policy_version) THEN 'stale'
              ELSE 'valid' END
  FROM ROWS FROM (json_to_recordset(p_principals) AS (kind text, ref text, epoch bigint, policy bigint))
       WITH ORDINALITY AS p (kind, ref, epoch, policy, ord)
  LEFT JOIN session s ON p.kind = 'session' AND s.ref = p.ref AND s.ended_at IS NULL AND s.expires_at > p_now
       AND s.last_seen_at + make_interval(secs => s.idle_seconds) > p_now
  LEFT JOIN api_key k ON p.kind = 'api_key' AND k.id = p.ref AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > p_now)
  LEFT JOIN account a ON a.id = coalesce(s.account_id, k.account_id)
  ORDER BY p.ord
$$;

-- The limit of a subject: his own where one is set, else the smallest of his roles'. NULL where none is set: refuse.
CREATE FUNCTION quota_limit_of(p_scopes text[], p_kind text) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce(min(amount) FILTER (WHERE scope LIKE 'user:%'), min(amount))
  FROM quota_limit WHERE kind = p_kind AND scope = ANY (p_scopes)
$$;

-- p_batch: {"instance", "zone", "principals": [...], "quotas": [{"subject","kind","scopes"}], "items": [...]}.
-- An item's columns stand beside its bytes (`event`), they are never parsed from them. `refused` holds the bytes for
-- every verdict that is not the wanted one, cut in two around the verdict's code; without it nothing is recorded.
-- Changes (any op but admit, settle, close, void, record) come last in a batch, so that what the loop has read once
-- stays true for it.
-- Returns a row per item, and one with o_idx = -1 that tells the day and when it ends.
CREATE FUNCTION commit_batch(p_batch json)
RETURNS TABLE (o_idx integer, o_verdict text, o_code text, o_seq bigint, o_at text, o_leaf bytea, o_detail json)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp
AS $$
DECLARE
  v_head head;  v_size bigint;  v_last timestamptz;  v_now timestamptz;  v_epoch bigint;
  v_zone text := p_batch->>'zone';  v_instance text := p_batch->>'instance';  v_day date;
  r record;  v_idx integer := -1;  v_changed boolean := false;
  v_verdict text;  v_code text;  v_detail json;  v_append boolean;  v_ok boolean;  v_at timestamptz;
  v_record text;  v_kind text;  v_outcome text;  v_reserved json;  v_i integer;  v_q integer;  v_known dedupe;
  -- loaded once, after the lock
  p_verdict text[];  p_known jsonb;
  q_subject text[];  q_kind text[];  q_limit bigint[];  q_used bigint[];  q_taken bigint[];
  -- results and records to append
  n integer := 0;  x_verdict text[];  x_code text[];  x_seq bigint[];  x_at timestamptz[];  x_detail json[];
  e_seq bigint[];  e_at timestamptz[];  e_id uuid[];  e_kind text[];  e_actor text[];  e_action text[];
  e_resource text[];  e_outcome text[];  e_request text[];  e_record text[];
  d_id uuid[];  d_verdict text[];  d_seq bigint[];  d_n integer := 0;
BEGIN
  SELECT * INTO v_head FROM head WHERE id FOR UPDATE;
  PERFORM set_config('synchronous_commit', 'on', true);
  v_size := v_head.size;
  v_last := v_head.last_at;
  v_now := greatest(v_last, clock_timestamp());
  v_day := (v_now AT TIME ZONE v_zone)::date;
  IF v_size + json_array_length(p_batch->'items') > v_head.covered THEN
    PERFORM cover_log(v_head.covered + 1048576);
  END IF;

  -- Who commits is alive. A lease that had run out starts a new epoch: what was open under the old one may be closed.
  INSERT INTO instance AS i (id, started_at, lease_until) VALUES (v_instance, v_now, v_now + interval '10 s')
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until,
      epoch = i.epoch + CASE WHEN i.lease_until < v_now THEN 1 ELSE 0 END
    RETURNING epoch INTO v_epoch;

  SELECT array_agg(j.o_verdict ORDER BY j.o_ord) INTO p_verdict
    FROM judge_principals(p_batch->'principals', v_now) j;
  UPDATE session SET last_seen_at = v_now
    WHERE ref IN (SELECT p->>'ref' FROM json_array_elements(p_batch->'principals') p WHERE p->>'kind' = 'session')
      AND last_seen_at < v_now - interval '30 s' AND ended_at IS NULL
      AND last_seen_at + make_interval(secs => idle_seconds) > v_now;
  UPDATE api_key SET last_used_at = v_now
    WHERE id IN (SELECT p->>'ref' FROM json_array_elements(p_batch->'principals') p WHERE p->>'kind' = 'api_key')
      AND (last_used_at IS NULL OR last_used_at < v_now - interval '60 s');

  SELECT array_agg(q.subject ORDER BY q.ord), array_agg(q.kind ORDER BY q.ord),
         array_agg(quota_limit_of(q.scopes, q.kind) ORDER BY q.ord),
         array_agg(coalesce(u.used, 0) ORDER BY q.ord), array_agg(0::bigint ORDER BY q.ord)
    INTO q_subject, q_kind, q_limit, q_used, q_taken
    FROM ROWS FROM (json_to_recordset(p_batch->'quotas') AS (subject text, kind text, scopes text[]))
         WITH ORDINALITY AS q (subject, kind, scopes, ord)
    LEFT JOIN quota_usage u ON u.subject = q.subject AND u.kind = q.kind AND u.window_start = v_day;

  SELECT jsonb_object_agg(d.event_id, jsonb_build_object('verdict', d.verdict, 'seq', d.seq)) INTO p_known
    FROM dedupe d WHERE d.event_id IN (SELECT (i->>'id')::uuid FROM json_array_elements(p_batch->'items') i);

  FOR r IN
    SELECT * FROM json_to_recordset(p_batch->'items') AS t (
      op text, id uuid, kind text, actor text, action text, resource text, outcome text, request text, event text,
      refused text[], refused_kind text, refused_outcome text, principal integer, takes integer[], amounts bigint[], open boolean,
      proof text, digest text, intent uuid, used json, opening text, change json)
  LOOP
    v_idx := v_idx + 1;
    v_code := NULL;  v_detail := NULL;  v_append := true;  v_at := NULL;
    IF p_known ? r.id::text THEN
      -- A retry of what has already been committed: the first answer stands.
      v_verdict := 'duplicate';
      v_code := p_known->(r.id::text)->>'verdict';
      n := n + 1;
      x_verdict[n] := v_verdict;  x_code[n] := v_code;  x_seq[n] := (p_known->(r.id::text)->>'seq')::bigint;
      x_at[n] := NULL;  x_detail[n] := NULL;
      CONTINUE;
    END IF;

    IF r.op = 'admit' THEN
      IF v_changed THEN RAISE EXCEPTION 'an admission may not follow a change in one batch'; END IF;
      v_verdict := coalesce(p_verdict[r.principal + 1], 'revoked');
      IF v_verdict = 'valid' THEN
        v_verdict := 'admitted';
        FOR v_i IN 1 .. coalesce(cardinality(r.takes), 0) LOOP
          v_q := r.takes[v_i] + 1;
          IF q_limit[v_q] IS NULL OR q_used[v_q] + r.amounts[v_i] > q_limit[v_q] THEN
            v_verdict := 'quota';
            v_code := q_kind[v_q];
            EXIT;
          END IF;
        END LOOP;
        IF v_verdict = 'admitted' AND r.digest IS NOT NULL THEN
          UPDATE step_up_challenge SET spent_at = v_now
            WHERE proof_ref = r.proof AND digest = r.digest AND account_id = r.actor AND spent_at IS NULL
              AND proof_until > v_now;
          IF NOT FOUND THEN v_verdict := 'step_up'; END IF;
        END IF;
        IF v_verdict = 'admitted' THEN
          FOR v_i IN 1 .. coalesce(cardinality(r.takes), 0) LOOP
            v_q := r.takes[v_i] + 1;
            q_used[v_q] := q_used[v_q] + r.amounts[v_i];
            q_taken[v_q] := q_taken[v_q] + r.amounts[v_i];
          END LOOP;
        END IF;
        IF r.takes IS NOT NULL THEN
          SELECT json_agg(json_build_array(q_kind[t + 1], q_limit[t + 1], q_used[t + 1])) INTO v_detail
            FROM unnest(r.takes) t;
        END IF;
      END IF;
      v_ok := v_verdict = 'admitted';
      -- Stale is no denial: the gateway loads the principal again and decides again.
      IF v_verdict = 'stale' THEN v_append := false; END IF;
      IF v_ok AND r.open THEN
        SELECT coalesce(json_agg(json_build_object('subject', q_subject[t + 1], 'kind', q_kind[t + 1], 'window', v_day, 'n', a)), '[]')
          INTO v_reserved FROM unnest(r.takes, r.amounts) AS z (t, a);
        INSERT INTO open_intent (event_id, seq, request_id, instance, epoch, actor, action, resource, kind, reserved, opened_at)
          VALUES (r.id, v_size, r.request, v_instance, v_epoch, r.actor, r.action, r.resource, r.kind, v_reserved, v_now);
      END IF;

    ELSIF r.op IN ('settle', 'close', 'void') THEN
      -- settle: by its own gateway. close: by any, once the lease of the gateway has run out; charged in full.
      -- void: the caller was told 503, so if the admission did commit it has not run.
      DELETE FROM open_intent o WHERE o.event_id = r.intent
        AND CASE r.op WHEN 'close' THEN NOT EXISTS (
              SELECT FROM instance i WHERE i.id = o.instance AND i.epoch = o.epoch AND i.lease_until > v_now)
            ELSE true END
        RETURNING o.reserved INTO v_reserved;
      v_ok := FOUND;
      v_verdict := CASE WHEN v_ok THEN 'settled' ELSE 'late' END;
      v_code := CASE WHEN v_ok THEN NULL ELSE 'late_outcome' END;
      IF v_ok THEN
        -- `used`: {"requests_day": 1, "tokens_day": 41}; a kind that is not named is charged as reserved.
        UPDATE quota_usage u SET used = greatest(0, u.used + d.delta)
          FROM (SELECT x.subject, x.kind, x."window", sum((r.used->>x.kind)::bigint - x.n)::bigint AS delta
                FROM json_to_recordset(v_reserved) AS x (subject text, kind text, "window" date, n bigint)
                WHERE r.used->>x.kind IS NOT NULL GROUP BY 1, 2, 3) d
          WHERE u.subject = d.subject AND u.kind = d.kind AND u.window_start = d."window" AND d.delta <> 0;
      ELSIF r.op = 'void' THEN
        -- Not there (yet): should the lost statement still arrive, it will find its id taken.
        v_append := false;
        INSERT INTO dedupe (event_id, verdict, seq, created_at) VALUES (r.intent, 'void', NULL, v_now)
          ON CONFLICT DO NOTHING;
      ELSIF r.op = 'close' THEN
        v_append := false;
      END IF;

    ELSIF r.op = 'record' THEN
      v_ok := true;
      v_verdict := 'recorded';

    ELSE
      v_changed := true;
      SELECT c.o_ok, c.o_code, c.o_detail INTO v_ok, v_code, v_detail FROM apply_change(r.op, r.change, v_now) c;
      v_verdict := CASE WHEN v_ok THEN 'changed' ELSE 'refused' END;
    END IF;

    IF v_ok THEN
      v_kind := r.kind;
      v_outcome := r.outcome;
      v_record := r.event;
    ELSIF v_append AND r.refused IS NOT NULL THEN
      v_kind := r.refused_kind;
      v_outcome := r.refused_outcome;
      v_record := r.refused[1] || coalesce(v_code, v_verdict) || r.refused[2];
    ELSE
      v_append := false;
    END IF;

    n := n + 1;
    x_verdict[n] := v_verdict;  x_code[n] := v_code;  x_detail[n] := v_detail;  x_seq[n] := NULL;  x_at[n] := NULL;
    IF v_append AND v_record IS NOT NULL THEN
      v_at := greatest(v_last, clock_timestamp());
      v_last := v_at;
      d_n := d_n + 1;
      e_seq[d_n] := v_size;  e_at[d_n] := v_at;  e_id[d_n] := r.id;  e_kind[d_n] := v_kind;  e_actor[d_n] := r.actor;
      e_action[d_n] := r.action;  e_resource[d_n] := r.resource;  e_outcome[d_n] := v_outcome;
      e_request[d_n] := r.request;
      e_record[d_n] := '{"at":"' || to_char(v_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","event":' || v_record || ',"seq":' || v_size || ',"v":1}';
      d_id[d_n] := r.id;  d_verdict[d_n] := v_verdict;  d_seq[d_n] := v_size;
      x_seq[n] := v_size;  x_at[n] := v_at;
      IF v_ok AND r.opening IS NOT NULL THEN
        INSERT INTO opening (seq, key) VALUES (v_size, decode(r.opening, 'hex'));
      END IF;
      v_size := v_size + 1;
    END IF;
  END LOOP;

  IF d_n > 0 THEN
    INSERT INTO entry (seq, at, event_id, kind, actor, action, resource, outcome, request_id, record)
      SELECT * FROM unnest(e_seq, e_at, e_id, e_kind, e_actor, e_action, e_resource, e_outcome, e_request, e_record);
    INSERT INTO leaf (seq, hash)
      SELECT s, sha256('\x00'::bytea || convert_to(t, 'UTF8')) FROM unnest(e_seq, e_record) AS z (s, t);
    INSERT INTO dedupe (event_id, verdict, seq, created_at)
      SELECT i, v, s, v_now FROM unnest(d_id, d_verdict, d_seq) AS z (i, v, s);
    UPDATE head SET size = v_size, last_at = v_last WHERE id;
  END IF;
  INSERT INTO quota_usage AS u (subject, kind, window_start, used)
    SELECT s, k, v_day, t FROM unnest(q_subject, q_kind, q_taken) AS z (s, k, t) WHERE t > 0
    ON CONFLICT (subject, kind, window_start) DO UPDATE SET used = u.used + excluded.used;

  RETURN QUERY
    SELECT z.ord::integer - 1, z.v, z.c, z.s,
           to_char(z.a AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), l.hash, z.d
    FROM unnest(x_verdict, x_code, x_seq, x_at, x_detail) WITH ORDINALITY AS z (v, c, s, a, d, ord)
    LEFT JOIN leaf l ON l.seq = z.s;
  RETURN QUERY
    SELECT -1, NULL::text, NULL::text, NULL::bigint, NULL::text, NULL::bytea,
           json_build_object('day', v_day, 'resets_at', to_char(((v_day + 1)::timestamp AT TIME ZONE v_zone) AT TIME ZONE 'UTC',
             'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'reset_seconds',
             ceil(extract(epoch FROM ((v_day + 1)::timestamp AT TIME ZONE v_zone) - v_now))::bigint);
END $$;
