-- The way into the log as in 0014, with less work an item: a batch comes as values and not as JSON, a refusal's bytes are
-- cut from the record's only where there is one, and the answer is one value.

DROP FUNCTION commit_batch(text, text, json, json, json);
DROP TYPE batch_item;

-- One item of a batch. Its columns stand beside its bytes (`event`), they are never parsed from them. `refused_at`: for
-- every verdict that is not the wanted one the same bytes are recorded with another kind, another outcome and the
-- verdict's code, and here is where these stand in `event`, in characters from 0: the kind, the outcome, where the code
-- begins, and where the rest goes on; without it nothing is recorded. `principal` and `counters` count into the batch's
-- lists, from 0. `tokens`: to take, as many as there are but not fewer than `least`; below 0: to give back. `used`:
-- tokens really used, null: all that was reserved. `ran` false: the request and all its tokens are given back.
CREATE TYPE batch_item AS (
  op text, id uuid, kind text, actor text, action text, resource text, outcome text, request text, event text,
  refused_kind text, refused_outcome text, refused_at integer[],
  principal integer, counters integer[], tokens bigint, least bigint, open boolean, proof text, digest text,
  intent uuid, used bigint, ran boolean, opening bytea, change json
);

-- p_principals: as judge_principals takes them. p_quotas: as limits_of takes them.
-- Items are judged in order. Settlements (settle, close, void) come before extensions and admissions, and changes (any
-- other op but record) after them, so that what is read once for all stays true for each.
-- Returns JSON: `verdicts` has an array for each item: its index from 0, verdict, code, seq, at, leaf hash in hex, detail;
-- the others tell when day and minute end.
-- The planner settings: these tables grow while the plans of a connection stay; only look-ups by index stay right.
CREATE FUNCTION commit_batch(p_instance text, p_zone text, p_principals json, p_quotas json, p_items batch_item[])
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_head head;  v_size bigint;  v_last timestamptz;  v_now timestamptz;  v_epoch bigint;  v_day date;  v_minute timestamptz;
  r batch_item;  v_out batch_verdict[];  v_open open_intent;
  v_idx integer := 0;  v_phase integer := 0;  v_q integer;  v_take bigint;  v_left bigint;  v_back bigint;  v_party text[];
  v_verdict text;  v_code text;  v_detail json;  v_text text;  v_wanted boolean;  v_append boolean;
  -- read once, after the lock; aligned with the items, the principals and the counters
  k_ord bigint[];  k_verdict text[];  k_seq bigint[];  k_answer json[];  v_settled bigint[];  p_verdict text[];
  c_subject text[];  c_counts boolean[];  c_limits text[];  c_dry boolean[];  c_touched boolean[];  c_day date[];  c_minute timestamptz[];
  l_rd bigint[];  l_td bigint[];  l_rm bigint[];  l_tm bigint[];  l_co bigint[];
  x_rd bigint[];  x_td bigint[];  x_rm bigint[];  x_tm bigint[];  x_co bigint[];
  u_rd bigint[];  u_td bigint[];  u_rm bigint[];  u_tm bigint[];  u_co bigint[];
BEGIN
  SELECT * INTO v_head FROM head WHERE id FOR UPDATE;
  PERFORM set_config('synchronous_commit', 'on', true);
  v_size := v_head.size;
  v_last := v_head.last_at;
  v_now := greatest(v_last, clock_timestamp());
  v_day := (v_now AT TIME ZONE p_zone)::date;
  v_minute := date_trunc('minute', v_now);
  IF v_size + coalesce(cardinality(p_items), 0) > v_head.covered THEN
    PERFORM cover_log(v_head.covered + 1048576);
  END IF;

  -- Who commits is alive. A lease that had run out starts a new epoch: what was open under the old one may be closed.
  INSERT INTO instance AS i (id, started_at, lease_until) VALUES (p_instance, v_now, v_now + interval '10 s')
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until,
      epoch = i.epoch + CASE WHEN i.lease_until < v_now THEN 1 ELSE 0 END
    RETURNING epoch INTO v_epoch;

  -- Nearly always none.
  SELECT coalesce(array_agg(i.ordinality), '{}'), array_agg(d.verdict), array_agg(d.seq), array_agg(d.answer)
    INTO k_ord, k_verdict, k_seq, k_answer
    FROM unnest(p_items) WITH ORDINALITY i JOIN dedupe d ON d.event_id = i.id;

  -- settle: by its own gateway. close: by any, once the lease of the gateway has run out; charged in full, and only if
  -- that is still as much as its record says. void: the caller was told 503, so if the admission did commit it has not
  -- run. Should the lost statement arrive later still, it will find its id taken. Of two settlements of one intent the
  -- first counts.
  WITH s AS MATERIALIZED (
    SELECT i.ordinality AS ord, i.op, i.intent, i.used, i.ran FROM unnest(p_items) WITH ORDINALITY i
    WHERE i.op IN ('settle', 'close', 'void') AND i.ordinality <> ALL (k_ord)
  ), due AS MATERIALIZED (
    SELECT DISTINCT ON (s.intent) s.* FROM s JOIN open_intent o ON o.event_id = s.intent
    WHERE s.op <> 'close' OR (coalesce(s.used, o.tokens) = o.tokens AND NOT EXISTS (
      SELECT FROM instance i WHERE i.id = o.instance AND i.epoch = o.epoch AND i.lease_until > v_now))
    ORDER BY s.intent, s.ord
  ), gone AS (
    DELETE FROM open_intent o USING due WHERE o.event_id = due.intent
    RETURNING due.ord, due.ran IS FALSE AS undone, o.party, o.day, o.minute, o.token_day, o.day_tokens, o.token_minute, o.minute_tokens,
      CASE WHEN due.ran IS FALSE THEN o.tokens WHEN due.used IS NULL THEN 0 ELSE greatest(0, o.tokens - due.used) END AS back
  ), freed AS (
    -- Of a window that is over nothing can be given back: nobody can take from it any more.
    SELECT p.subject, count(*) AS co,
           count(*) FILTER (WHERE g.undone AND g.day = v_day) AS rd, count(*) FILTER (WHERE g.undone AND g.minute = v_minute) AS rm,
           coalesce(sum(least(g.back, g.day_tokens)) FILTER (WHERE g.token_day = v_day), 0)::bigint AS td,
           coalesce(sum(least(g.back, g.minute_tokens)) FILTER (WHERE g.token_minute = v_minute), 0)::bigint AS tm
    FROM gone g, unnest(g.party) AS p (subject) GROUP BY 1
  ), corrected AS (
    UPDATE quota_counter c SET concurrent = greatest(0, c.concurrent - f.co),
      requests_day = CASE WHEN c.day = v_day THEN greatest(0, c.requests_day - f.rd) ELSE c.requests_day END,
      tokens_day = CASE WHEN c.day = v_day THEN greatest(0, c.tokens_day - f.td) ELSE c.tokens_day END,
      requests_minute = CASE WHEN c.minute = v_minute THEN greatest(0, c.requests_minute - f.rm) ELSE c.requests_minute END,
      tokens_minute = CASE WHEN c.minute = v_minute THEN greatest(0, c.tokens_minute - f.tm) ELSE c.tokens_minute END
    FROM freed f WHERE c.subject = f.subject
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

  SELECT array_agg(z.o_subject), array_agg(z.o_counts), array_agg(z.limits), array_agg(z.dry), array_agg(false),
         array_agg(greatest(z.day, v_day)), array_agg(greatest(z.minute, v_minute)),
         array_agg(z.requests_day), array_agg(z.tokens_day), array_agg(z.requests_minute), array_agg(z.tokens_minute), array_agg(z.concurrent),
         array_agg(z.d_requests_day), array_agg(z.d_tokens_day), array_agg(z.d_requests_minute), array_agg(z.d_tokens_minute), array_agg(z.d_concurrent),
         array_agg(CASE WHEN z.day >= v_day THEN z.urd ELSE 0 END), array_agg(CASE WHEN z.day >= v_day THEN z.utd ELSE 0 END),
         array_agg(CASE WHEN z.minute >= v_minute THEN z.urm ELSE 0 END), array_agg(CASE WHEN z.minute >= v_minute THEN z.utm ELSE 0 END),
         array_agg(coalesce(z.uco, 0))
    INTO c_subject, c_counts, c_limits, c_dry, c_touched, c_day, c_minute, l_rd, l_td, l_rm, l_tm, l_co,
         x_rd, x_td, x_rm, x_tm, x_co, u_rd, u_td, u_rm, u_tm, u_co
    FROM (
      SELECT l.*, u.day, u.minute, u.requests_day AS urd, u.tokens_day AS utd, u.requests_minute AS urm, u.tokens_minute AS utm, u.concurrent AS uco,
             coalesce(l.d_requests_day, l.d_tokens_day, l.d_requests_minute, l.d_tokens_minute, l.d_concurrent) IS NOT NULL AS dry,
             '[' || coalesce(l.requests_day, 0) || ',' || coalesce(l.tokens_day, 0) || ',' || coalesce(l.requests_minute, 0) || ','
               || coalesce(l.tokens_minute, 0) || ',' || coalesce(l.concurrent, 0) || ']' AS limits
      FROM limits_of(p_quotas, v_now) l LEFT JOIN quota_counter u ON u.subject = l.o_subject ORDER BY l.o_ord) z;

  FOREACH r IN ARRAY coalesce(p_items, '{}') LOOP
    v_idx := v_idx + 1;
    v_q := array_position(k_ord, v_idx::bigint);
    IF v_q IS NOT NULL THEN
      -- A retry of what has already been committed: the first answer stands.
      v_out[v_idx] := ROW('duplicate', k_verdict[v_q], false, k_seq[v_q], NULL, k_answer[v_q], NULL, NULL)::batch_verdict;
      CONTINUE;
    END IF;
    v_code := NULL;  v_detail := NULL;  v_append := true;  v_party := '{}';  v_take := NULL;

    IF r.op = 'admit' THEN
      IF v_phase > 1 THEN RAISE EXCEPTION 'an admission may not follow a change in one batch'; END IF;
      v_phase := 1;
      v_verdict := coalesce(p_verdict[r.principal + 1], 'revoked');
      IF v_verdict = 'valid' THEN
        v_verdict := 'admitted';
        v_take := r.tokens;
        IF r.counters IS NOT NULL THEN
          IF (r.least >= 0 AND r.tokens >= r.least) IS NOT TRUE THEN v_verdict := 'quota';  v_code := 'tokens_day:user'; END IF;
          FOREACH v_q IN ARRAY r.counters LOOP
            v_q := v_q + 1;
            CONTINUE WHEN NOT c_counts[v_q];
            IF (u_td[v_q] + v_take <= l_td[v_q] AND u_tm[v_q] + v_take <= l_tm[v_q] AND u_rd[v_q] < l_rd[v_q]
                AND u_rm[v_q] < l_rm[v_q] AND u_co[v_q] < l_co[v_q]) IS NOT TRUE THEN
              -- The longest wait first: whoever comes back after it is not refused again for the day.
              v_text := CASE WHEN (u_rd[v_q] < l_rd[v_q]) IS NOT TRUE THEN 'requests_day'
                             WHEN (u_td[v_q] + r.least <= l_td[v_q]) IS NOT TRUE THEN 'tokens_day'
                             WHEN (u_rm[v_q] < l_rm[v_q]) IS NOT TRUE THEN 'requests_minute'
                             WHEN (u_tm[v_q] + r.least <= l_tm[v_q]) IS NOT TRUE THEN 'tokens_minute'
                             WHEN (u_co[v_q] < l_co[v_q]) IS NOT TRUE THEN 'concurrent' END;
              IF v_text IS NOT NULL THEN
                v_verdict := 'quota';
                v_code := coalesce(v_code, v_text || ':' || split_part(c_subject[v_q], ':', 1));
                EXIT;
              END IF;
              v_take := least(v_take, l_td[v_q] - u_td[v_q], l_tm[v_q] - u_tm[v_q]);
            END IF;
          END LOOP;
        END IF;
        IF v_verdict = 'admitted' AND r.digest IS NOT NULL THEN
          UPDATE step_up_challenge SET spent_at = v_now
            WHERE proof_ref = r.proof AND digest = r.digest AND account_id = r.actor AND spent_at IS NULL
              AND proof_until > v_now;
          IF NOT FOUND THEN v_verdict := 'step_up'; END IF;
        END IF;
        v_wanted := v_verdict = 'admitted';
        IF r.counters IS NOT NULL THEN
          v_text := '[' || CASE WHEN v_wanted THEN v_take ELSE 0 END;
          FOREACH v_q IN ARRAY r.counters LOOP
            v_q := v_q + 1;
            CONTINUE WHEN NOT c_counts[v_q];
            IF v_wanted THEN
              u_rd[v_q] := u_rd[v_q] + 1;
              u_td[v_q] := u_td[v_q] + v_take;
              u_rm[v_q] := u_rm[v_q] + 1;
              u_tm[v_q] := u_tm[v_q] + v_take;
              u_co[v_q] := u_co[v_q] + r.open::integer;
              c_touched[v_q] := true;
              v_party := v_party || c_subject[v_q];
            END IF;
            v_text := v_text || ',["' || split_part(c_subject[v_q], ':', 1) || '",' || c_limits[v_q] || ',[' || u_rd[v_q] || ',' || u_td[v_q]
              || ',' || u_rm[v_q] || ',' || u_tm[v_q] || ',' || u_co[v_q] || ']'
              || CASE WHEN v_wanted AND c_dry[v_q] THEN ',[' || concat_ws(',',
                   CASE WHEN u_rd[v_q] > x_rd[v_q] THEN '"requests_day"' END, CASE WHEN u_td[v_q] > x_td[v_q] THEN '"tokens_day"' END,
                   CASE WHEN u_rm[v_q] > x_rm[v_q] THEN '"requests_minute"' END, CASE WHEN u_tm[v_q] > x_tm[v_q] THEN '"tokens_minute"' END,
                   CASE WHEN u_co[v_q] > x_co[v_q] THEN '"concurrent"' END) || ']' ELSE '' END || ']';
          END LOOP;
          v_detail := (v_text || ']')::json;
        END IF;
      END IF;
      v_wanted := v_verdict = 'admitted';
      -- Stale is no denial: the gateway loads the principal again and decides again.
      IF v_verdict = 'stale' THEN v_append := false; END IF;

    ELSIF r.op = 'extend' THEN
      -- More tokens for what runs, or back what it will not need. No record of its own: the outcome says what was taken.
      IF v_phase > 1 THEN RAISE EXCEPTION 'an extension may not follow a change in one batch'; END IF;
      v_phase := 1;
      v_append := false;
      SELECT * INTO v_open FROM open_intent o WHERE o.event_id = r.intent AND o.instance = p_instance;
      v_wanted := FOUND;
      v_verdict := CASE WHEN v_wanted THEN 'extended' ELSE 'late' END;
      IF v_wanted THEN
        -- As at admission: a counter that was limited since does not count for it, one that is not any more still does.
        IF NOT v_open.party <@ ARRAY(SELECT c_subject[q + 1] FROM unnest(r.counters) q) THEN
          RAISE EXCEPTION 'an extension must name the counters of its admission';
        END IF;
        v_take := r.tokens;
        FOREACH v_q IN ARRAY r.counters LOOP
          v_q := v_q + 1;
          CONTINUE WHEN v_take <= 0 OR NOT c_subject[v_q] = ANY (v_open.party);
          v_left := greatest(0, coalesce(least(l_td[v_q] - u_td[v_q], l_tm[v_q] - u_tm[v_q]), 0));
          IF l_td[v_q] IS NULL OR l_tm[v_q] IS NULL THEN v_left := 0; END IF;
          IF v_left < v_take THEN
            v_code := CASE WHEN (l_td[v_q] - u_td[v_q] <= v_left) IS NOT FALSE THEN 'tokens_day:' ELSE 'tokens_minute:' END
                      || split_part(c_subject[v_q], ':', 1);
            v_take := v_left;
          END IF;
        END LOOP;
        IF r.tokens > 0 AND v_take < r.least THEN v_take := 0; END IF;
        IF v_take > 0 THEN
          v_open.day_tokens := v_take + CASE WHEN v_open.token_day = v_day THEN v_open.day_tokens ELSE 0 END;
          v_open.minute_tokens := v_take + CASE WHEN v_open.token_minute = v_minute THEN v_open.minute_tokens ELSE 0 END;
          v_open.token_day := v_day;
          v_open.token_minute := v_minute;
        ELSIF v_take < 0 THEN
          v_take := greatest(v_take, -v_open.tokens);
        END IF;
        FOREACH v_q IN ARRAY r.counters LOOP
          v_q := v_q + 1;
          CONTINUE WHEN v_take = 0 OR NOT c_subject[v_q] = ANY (v_open.party);
          c_touched[v_q] := true;
          -- What is given back goes to the windows that gave it last; what is over is over.
          IF v_take > 0 OR (v_open.token_day = v_day AND c_day[v_q] = v_day) THEN
            u_td[v_q] := greatest(0, u_td[v_q] + greatest(v_take, -v_open.day_tokens));
          END IF;
          IF v_take > 0 OR (v_open.token_minute = v_minute AND c_minute[v_q] = v_minute) THEN
            u_tm[v_q] := greatest(0, u_tm[v_q] + greatest(v_take, -v_open.minute_tokens));
          END IF;
        END LOOP;
        v_back := least(v_take, 0);
        UPDATE open_intent SET tokens = v_open.tokens + v_take, token_day = v_open.token_day, token_minute = v_open.token_minute,
            day_tokens = greatest(0, v_open.day_tokens + v_back), minute_tokens = greatest(0, v_open.minute_tokens + v_back)
          WHERE event_id = r.intent;
        v_detail := to_json(v_take);
      END IF;

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

    IF v_append AND (v_wanted OR r.refused_at IS NOT NULL) THEN
      v_last := greatest(v_last, clock_timestamp());
      v_out[v_idx] := ROW(v_verdict, v_code, v_wanted, v_size, v_last, v_detail, v_party, v_take)::batch_verdict;
      v_size := v_size + 1;
    ELSE
      v_out[v_idx] := ROW(v_verdict, v_code, v_wanted, NULL, NULL, v_detail, NULL, NULL)::batch_verdict;
    END IF;
  END LOOP;

  IF v_size > v_head.size THEN
    UPDATE head SET size = v_size, last_at = v_last WHERE id;
  END IF;
  IF true = ANY (c_touched) THEN
    INSERT INTO quota_counter AS u (subject, day, requests_day, tokens_day, minute, requests_minute, tokens_minute, concurrent)
      SELECT s, d, rd, td, m, rm, tm, co
      FROM unnest(c_touched, c_subject, c_day, u_rd, u_td, c_minute, u_rm, u_tm, u_co) AS z (t, s, d, rd, td, m, rm, tm, co) WHERE t
      ON CONFLICT (subject) DO UPDATE SET day = excluded.day, requests_day = excluded.requests_day, tokens_day = excluded.tokens_day,
        minute = excluded.minute, requests_minute = excluded.requests_minute, tokens_minute = excluded.tokens_minute,
        concurrent = excluded.concurrent;
  END IF;

  WITH stamped AS (
    SELECT x.*, to_char(x.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS stamp,
           CASE WHEN x.wanted THEN x.event ELSE
             left(x.event, x.refused_at[1]) || x.refused_kind
             || substr(x.event, x.refused_at[1] + length(x.kind) + 1, x.refused_at[2] - x.refused_at[1] - length(x.kind)) || x.refused_outcome
             || substr(x.event, x.refused_at[2] + length(x.outcome) + 1, x.refused_at[3] - x.refused_at[2] - length(x.outcome))
             || ',"outcome_code":"' || coalesce(x.code, x.verdict) || '"' || substr(x.event, x.refused_at[4] + 1) END AS bytes
    FROM ROWS FROM (unnest(p_items), unnest(v_out)) WITH ORDINALITY x OFFSET 0
  ), written AS (
    SELECT s.ordinality AS ord, s.id, s.actor, s.action, s.resource, s.request, s.party, s.taken, s.verdict, s.code, s.detail, s.seq,
           s.at, s.stamp, s.wanted AND s.op = 'admit' AND s.open AS opens,
           CASE WHEN s.wanted THEN s.kind ELSE s.refused_kind END AS kind,
           CASE WHEN s.wanted THEN s.outcome ELSE s.refused_outcome END AS outcome,
           CASE WHEN s.wanted THEN s.opening END AS opening,
           '{"at":"' || s.stamp || '","event":' || s.bytes || ',"seq":' || s.seq || ',"v":1}' AS record FROM stamped s OFFSET 0
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
      SELECT z.id, z.verdict, z.seq, CASE WHEN z.verdict IN ('changed', 'refused', 'extended')
               THEN json_build_object('code', z.code, 'detail', z.detail) END, v_now
      FROM z WHERE z.at IS NOT NULL OR z.verdict = 'extended'
  ), openings AS (
    INSERT INTO opening (seq, key) SELECT z.seq, z.opening FROM z WHERE z.at IS NOT NULL AND z.opening IS NOT NULL
  ), opened AS (
    INSERT INTO open_intent (event_id, seq, request_id, instance, epoch, actor, action, resource, kind, opened_at, party, tokens,
                             day, minute, token_day, day_tokens, token_minute, minute_tokens)
      SELECT z.id, z.seq, z.request, p_instance, v_epoch, z.actor, z.action, z.resource, z.kind, v_now, z.party, coalesce(z.taken, 0),
             v_day, v_minute, v_day, coalesce(z.taken, 0), v_minute, coalesce(z.taken, 0)
      FROM z WHERE z.at IS NOT NULL AND z.opens
  )
  SELECT string_agg('[' || z.ord - 1 || ',"' || z.verdict || '",' || coalesce(to_json(z.code)::text, 'null') || ',' || coalesce(z.seq::text, 'null')
           || coalesce(',"' || z.stamp || '","' || encode(z.hash, 'hex') || '",', ',null,null,') || coalesce(z.detail::text, 'null') || ']', ',')
    INTO v_text FROM z;
  RETURN '{"day_seconds":' || ceil(extract(epoch FROM ((v_day + 1)::timestamp AT TIME ZONE p_zone) - v_now))::bigint
    || ',"minute_seconds":' || ceil(extract(epoch FROM v_minute + interval '1 minute' - v_now))::bigint
    || ',"verdicts":[' || coalesce(v_text, '') || ']}';
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION commit_batch(text, text, json, json, batch_item[]) TO strongroom_app, strongroom_keeper;
