-- The one way into the log. audit.md, "How a record gets in": called as ONE autocommitted statement, judges each item
-- in order, appends each record with its own verdict.

-- Is a credential still good, and is what was decided about it still current? Shared by admission (under the head
-- lock) and by the read batch (without it). `p_principals`: [{"kind","ref","epoch","policy"}].
CREATE FUNCTION judge_principals(p_principals json, p_now timestamptz)
RETURNS TABLE (o_ord integer, o_verdict text) LANGUAGE sql STABLE
AS $$
  SELECT p.ord::integer,
         CASE WHEN a.id IS NULL OR a.disabled_at IS NOT NULL THEN 'revoked'
              WHEN a.epoch IS DISTINCT FROM p.epoch
                OR p.policy IS DISTINCT FROM (SELECT max(version) FROM policy_version) THEN 'stale'
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

-- One item of a batch. Its columns stand beside its bytes (`event`), they are never parsed from them. `refused` holds the
-- bytes for every verdict that is not the wanted one, cut in two around the verdict's code; without it nothing is
-- recorded. `principal` and `takes` count into the batch's lists, from 0.
CREATE TYPE batch_item AS (
  op text, id uuid, kind text, actor text, action text, resource text, outcome text, request text, event text,
  refused text[], refused_kind text, refused_outcome text,
  principal integer, takes integer[], amounts bigint[], open boolean, proof text, digest text,
  intent uuid, used json, opening text, change json
);
CREATE TYPE batch_verdict AS (verdict text, code text, wanted boolean, seq bigint, at timestamptz, detail json);

-- p_principals: as judge_principals takes them. p_quotas: [{"subject","kind","scopes"}]. p_items: batch_item.
-- Items are judged in order. Settlements (settle, close, void) come before admissions, and changes (any other op but
-- record) after them, so that what is read once for all stays true for each.
-- Returns a row per item in their order, and at the end one with o_idx = -1 that tells the day and when it ends.
-- The planner settings: these tables grow while the plans of a connection stay; only look-ups by index stay right.
CREATE FUNCTION commit_batch(p_instance text, p_zone text, p_principals json, p_quotas json, p_items json)
RETURNS TABLE (o_idx integer, o_verdict text, o_code text, o_seq bigint, o_at text, o_leaf bytea, o_detail json)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_head head;  v_size bigint;  v_last timestamptz;  v_now timestamptz;  v_epoch bigint;  v_day date;
  r batch_item;  v_items batch_item[];  v_out batch_verdict[];
  v_idx integer := 0;  v_phase integer := 0;
  v_verdict text;  v_code text;  v_detail json;  v_text text;  v_wanted boolean;  v_append boolean;  v_i integer;  v_q integer;
  -- read once, after the lock; aligned with the items, the principals and the quotas
  k_verdict text[];  k_seq bigint[];  k_answer json[];  v_settled bigint[];  p_verdict text[];
  q_subject text[];  q_kind text[];  q_limit bigint[];  q_used bigint[];  q_taken bigint[];
BEGIN
  SELECT * INTO v_head FROM head WHERE id FOR UPDATE;
  PERFORM set_config('synchronous_commit', 'on', true);
  v_size := v_head.size;
  v_last := v_head.last_at;
  v_now := greatest(v_last, clock_timestamp());
  SELECT array_agg(i) INTO v_items FROM json_populate_recordset(NULL::batch_item, p_items) i;
  v_day := (v_now AT TIME ZONE p_zone)::date;
  IF v_size + coalesce(cardinality(v_items), 0) > v_head.covered THEN
    PERFORM cover_log(v_head.covered + 1048576);
  END IF;

  -- Who commits is alive. A lease that had run out starts a new epoch: what was open under the old one may be closed.
  INSERT INTO instance AS i (id, started_at, lease_until) VALUES (p_instance, v_now, v_now + interval '10 s')
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until,
      epoch = i.epoch + CASE WHEN i.lease_until < v_now THEN 1 ELSE 0 END
    RETURNING epoch INTO v_epoch;

  SELECT array_agg(d.verdict ORDER BY i.ordinality), array_agg(d.seq ORDER BY i.ordinality),
         array_agg(d.answer ORDER BY i.ordinality)
    INTO k_verdict, k_seq, k_answer
    FROM unnest(v_items) WITH ORDINALITY i LEFT JOIN dedupe d ON d.event_id = i.id;

  -- settle: by its own gateway. close: by any, once the lease of the gateway has run out; charged in full.
  -- void: the caller was told 503, so if the admission did commit it has not run. Should the lost statement arrive
  -- later still, it will find its id taken. Of two settlements of one intent the first counts.
  WITH s AS MATERIALIZED (
    SELECT i.ordinality AS ord, i.op, i.intent, i.used FROM unnest(v_items) WITH ORDINALITY i
    WHERE i.op IN ('settle', 'close', 'void') AND k_verdict[i.ordinality] IS NULL
  ), due AS MATERIALIZED (
    SELECT DISTINCT ON (s.intent) s.* FROM s JOIN open_intent o ON o.event_id = s.intent
    WHERE s.op <> 'close' OR NOT EXISTS (
      SELECT FROM instance i WHERE i.id = o.instance AND i.epoch = o.epoch AND i.lease_until > v_now)
    ORDER BY s.intent, s.ord
  ), gone AS (
    DELETE FROM open_intent o USING due WHERE o.event_id = due.intent RETURNING due.ord, due.used, o.day, o.reserved
  ), corrected AS (
    -- `used`: {"requests_day": 1, "tokens_day": 41}; a kind that is not named is charged as reserved.
    UPDATE quota_usage u SET used = greatest(0, u.used + d.delta)
      FROM (SELECT t.subject, t.kind, g.day, sum((g.used->>t.kind)::bigint - t.amount)::bigint AS delta
            FROM gone g, unnest(g.reserved) t WHERE g.used->>t.kind IS NOT NULL GROUP BY 1, 2, 3) d
      WHERE u.subject = d.subject AND u.kind = d.kind AND u.window_start = d.day AND d.delta <> 0
  ), barred AS (
    INSERT INTO dedupe (event_id, verdict, seq, created_at)
      SELECT s.intent, 'void', NULL, v_now FROM s
      WHERE s.op = 'void' AND NOT EXISTS (SELECT FROM due WHERE due.ord = s.ord)
      ON CONFLICT DO NOTHING
  )
  SELECT array_agg(g.ord) INTO v_settled FROM gone g;

  SELECT array_agg(j.o_verdict ORDER BY j.o_ord) INTO p_verdict FROM judge_principals(p_principals, v_now) j;
  UPDATE session s SET last_seen_at = v_now
    FROM json_to_recordset(p_principals) AS p (kind text, ref text)
    WHERE p.kind = 'session' AND s.ref = p.ref AND s.last_seen_at < v_now - interval '30 s' AND s.ended_at IS NULL
      AND s.expires_at > v_now AND s.last_seen_at + make_interval(secs => s.idle_seconds) > v_now;
  UPDATE api_key k SET last_used_at = v_now
    FROM json_to_recordset(p_principals) AS p (kind text, ref text)
    WHERE p.kind = 'api_key' AND k.id = p.ref AND (k.last_used_at IS NULL OR k.last_used_at < v_now - interval '60 s');

  SELECT array_agg(q.subject ORDER BY q.ord), array_agg(q.kind ORDER BY q.ord), array_agg(l.amount ORDER BY q.ord),
         array_agg(coalesce(u.used, 0) ORDER BY q.ord), array_agg(0::bigint ORDER BY q.ord)
    INTO q_subject, q_kind, q_limit, q_used, q_taken
    FROM ROWS FROM (json_to_recordset(p_quotas) AS (subject text, kind text, scopes text[]))
         WITH ORDINALITY AS q (subject, kind, scopes, ord)
    CROSS JOIN LATERAL (
      -- As quota_limit_of, which the planner can't inline.
      SELECT coalesce(min(m.amount) FILTER (WHERE m.scope LIKE 'user:%'), min(m.amount)) AS amount
      FROM quota_limit m WHERE m.kind = q.kind AND m.scope = ANY (q.scopes)) l
    LEFT JOIN quota_usage u ON u.subject = q.subject AND u.kind = q.kind AND u.window_start = v_day;

  FOREACH r IN ARRAY coalesce(v_items, '{}') LOOP
    v_idx := v_idx + 1;
    IF k_verdict[v_idx] IS NOT NULL THEN
      -- A retry of what has already been committed: the first answer stands.
      v_out[v_idx] := ROW('duplicate', k_verdict[v_idx], false, k_seq[v_idx], NULL, k_answer[v_idx])::batch_verdict;
      CONTINUE;
    END IF;
    v_code := NULL;  v_detail := NULL;  v_append := true;

    IF r.op = 'admit' THEN
      IF v_phase > 1 THEN RAISE EXCEPTION 'an admission may not follow a change in one batch'; END IF;
      v_phase := 1;
      v_verdict := coalesce(p_verdict[r.principal + 1], 'revoked');
      IF v_verdict = 'valid' THEN
        v_verdict := 'admitted';
        FOR v_i IN 1 .. coalesce(cardinality(r.takes), 0) LOOP
          v_q := r.takes[v_i] + 1;
          IF (r.amounts[v_i] >= 0 AND q_used[v_q] + r.amounts[v_i] <= q_limit[v_q]) IS NOT TRUE THEN
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
        v_wanted := v_verdict = 'admitted';
        v_text := '';
        FOR v_i IN 1 .. coalesce(cardinality(r.takes), 0) LOOP
          v_q := r.takes[v_i] + 1;
          IF v_wanted THEN
            q_used[v_q] := q_used[v_q] + r.amounts[v_i];
            q_taken[v_q] := q_taken[v_q] + r.amounts[v_i];
          END IF;
          v_text := v_text || CASE WHEN v_i = 1 THEN '[' ELSE ',' END
            || json_build_array(q_kind[v_q], q_limit[v_q], q_used[v_q])::text;
        END LOOP;
        v_detail := nullif(v_text || ']', ']')::json;
      END IF;
      v_wanted := v_verdict = 'admitted';
      -- Stale is no denial: the gateway loads the principal again and decides again.
      IF v_verdict = 'stale' THEN v_append := false; END IF;

    ELSIF r.op IN ('settle', 'close', 'void') THEN
      IF v_phase > 0 THEN RAISE EXCEPTION 'a settlement may not follow an admission or a change in one batch'; END IF;
      v_wanted := coalesce(v_idx = ANY (v_settled), false);
      v_verdict := CASE WHEN v_wanted THEN 'settled' ELSE 'late' END;
      v_code := CASE WHEN v_wanted THEN NULL ELSE 'late_outcome' END;
      v_append := v_wanted OR r.op = 'settle';

    ELSIF r.op = 'record' THEN
      v_wanted := true;
      v_verdict := 'recorded';

    ELSE
      v_phase := 2;
      SELECT c.o_ok, c.o_code, c.o_detail INTO v_wanted, v_code, v_detail FROM apply_change(r.op, r.change, v_now) c;
      v_verdict := CASE WHEN v_wanted THEN 'changed' ELSE 'refused' END;
    END IF;

    IF v_append AND (v_wanted OR r.refused IS NOT NULL) THEN
      v_last := greatest(v_last, clock_timestamp());
      v_out[v_idx] := ROW(v_verdict, v_code, v_wanted, v_size, v_last, v_detail)::batch_verdict;
      v_size := v_size + 1;
    ELSE
      v_out[v_idx] := ROW(v_verdict, v_code, v_wanted, NULL, NULL, v_detail)::batch_verdict;
    END IF;
  END LOOP;

  IF v_size > v_head.size THEN
    UPDATE head SET size = v_size, last_at = v_last WHERE id;
  END IF;
  INSERT INTO quota_usage AS u (subject, kind, window_start, used)
    SELECT s, k, v_day, t FROM unnest(q_subject, q_kind, q_taken) AS z (s, k, t) WHERE t > 0
    ON CONFLICT (subject, kind, window_start) DO UPDATE SET used = u.used + excluded.used;

  RETURN QUERY
    WITH stamped AS MATERIALIZED (
      SELECT x.ordinality AS ord, x.id, x.actor, x.action, x.resource, x.request, x.takes, x.amounts, x.verdict, x.code,
             x.detail, x.seq, x.at, x.wanted AND x.op = 'admit' AND x.open AS opens,
             CASE WHEN x.wanted THEN x.kind ELSE x.refused_kind END AS kind,
             CASE WHEN x.wanted THEN x.outcome ELSE x.refused_outcome END AS outcome,
             CASE WHEN x.wanted THEN x.opening END AS opening,
             CASE WHEN x.wanted THEN x.event ELSE x.refused[1] || coalesce(x.code, x.verdict) || x.refused[2] END AS event,
             to_char(x.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS stamp
      FROM ROWS FROM (unnest(v_items), unnest(v_out)) WITH ORDINALITY x
    ), written AS MATERIALIZED (
      SELECT s.*, '{"at":"' || s.stamp || '","event":' || s.event || ',"seq":' || s.seq || ',"v":1}' AS record FROM stamped s
    ), z AS MATERIALIZED (
      SELECT w.*, sha256('\x00'::bytea || convert_to(w.record, 'UTF8')) AS hash FROM written w
    ), entries AS (
      INSERT INTO entry (seq, at, event_id, kind, actor, action, resource, outcome, request_id, record)
        SELECT z.seq, z.at, z.id, z.kind, z.actor, z.action, z.resource, z.outcome, z.request, z.record
        FROM z WHERE z.at IS NOT NULL
    ), leaves AS (
      INSERT INTO leaf (seq, hash) SELECT z.seq, z.hash FROM z WHERE z.at IS NOT NULL
    ), known AS (
      INSERT INTO dedupe (event_id, verdict, seq, answer, created_at)
        SELECT z.id, z.verdict, z.seq, CASE WHEN z.verdict IN ('changed', 'refused')
                 THEN json_build_object('code', z.code, 'detail', z.detail) END, v_now
        FROM z WHERE z.at IS NOT NULL
    ), openings AS (
      INSERT INTO opening (seq, key)
        SELECT z.seq, decode(z.opening, 'hex') FROM z WHERE z.at IS NOT NULL AND z.opening IS NOT NULL
    ), opened AS (
      INSERT INTO open_intent (event_id, seq, request_id, instance, epoch, actor, action, resource, kind, day, reserved, opened_at)
        SELECT z.id, z.seq, z.request, p_instance, v_epoch, z.actor, z.action, z.resource, z.kind, v_day,
               ARRAY(SELECT ROW(q_subject[t + 1], q_kind[t + 1], a)::reservation FROM unnest(z.takes, z.amounts) AS m (t, a)),
               v_now
        FROM z WHERE z.at IS NOT NULL AND z.opens
    )
    SELECT z.ord::integer - 1, z.verdict, z.code, z.seq, z.stamp, z.hash, z.detail FROM z ORDER BY z.ord;
  RETURN QUERY
    SELECT -1, NULL::text, NULL::text, NULL::bigint, NULL::text, NULL::bytea,
           json_build_object('day', v_day, 'resets_at', to_char(((v_day + 1)::timestamp AT TIME ZONE p_zone) AT TIME ZONE 'UTC',
             'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'reset_seconds',
             ceil(extract(epoch FROM ((v_day + 1)::timestamp AT TIME ZONE p_zone) - v_now))::bigint);
END $$;
