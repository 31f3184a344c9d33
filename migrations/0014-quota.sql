-- Quotas of five kinds for five scopes, reserved in slices. decisions/0011 says what counts where.

-- A limit per scope and kind. `role:NAME` is what each holder of the role has for himself, `user:ID` stands before it;
-- `key:ID`, `department:NAME` and `model:ID` hold together all that goes through them. A caller without a limit of his
-- own or of his roles is refused. `dry_run`: counted and reported, never refused.
ALTER TABLE quota_limit DROP CONSTRAINT quota_limit_kind_check;
ALTER TABLE quota_limit
  ADD CHECK (kind IN ('requests_day', 'tokens_day', 'requests_minute', 'tokens_minute', 'concurrent')),
  ADD CHECK (scope ~ '^(user|key|role|department|model):.'),
  ADD COLUMN dry_run boolean NOT NULL DEFAULT false,
  ADD COLUMN raised_amount bigint CHECK (raised_amount >= 0),    -- in place of `amount` until `raised_until`
  ADD COLUMN raised_until timestamptz,
  ADD COLUMN changed_by text NOT NULL DEFAULT 'system',
  ADD COLUMN changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ADD CHECK ((raised_amount IS NULL) = (raised_until IS NULL));
INSERT INTO quota_limit (scope, kind, amount)
  SELECT r.scope, k.kind, k.amount FROM unnest(ARRAY['role:analyst', 'role:service']) AS r (scope)
  CROSS JOIN (VALUES ('requests_minute', 300), ('tokens_minute', 500000), ('concurrent', 64)) AS k (kind, amount);

-- What is taken now, a row per counter. A window that has begun since is seen by its start and counts from 0; it never
-- goes back, whatever zone a gateway names. Changed under the head lock only.
CREATE TABLE quota_counter (
  subject         text PRIMARY KEY,                              -- user:ID, key:ID, department:NAME, model:ID
  day             date NOT NULL,
  requests_day    bigint NOT NULL CHECK (requests_day >= 0),
  tokens_day      bigint NOT NULL CHECK (tokens_day >= 0),
  minute          timestamptz NOT NULL,
  requests_minute bigint NOT NULL CHECK (requests_minute >= 0),
  tokens_minute   bigint NOT NULL CHECK (tokens_minute >= 0),
  concurrent      bigint NOT NULL CHECK (concurrent >= 0)        -- open intents
) WITH (fillfactor = 50);

-- What an open intent has taken, and from which windows: what is given back goes to the window that gave it last.
ALTER TABLE open_intent
  ADD COLUMN party text[] NOT NULL DEFAULT '{}',                 -- the counters that it counts on
  ADD COLUMN tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN minute timestamptz,                                 -- of the admission, as `day`
  ADD COLUMN token_day date,                                     -- the last window that tokens came from, and how many
  ADD COLUMN day_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN token_minute timestamptz,
  ADD COLUMN minute_tokens bigint NOT NULL DEFAULT 0;
UPDATE open_intent o SET party = ARRAY['user:' || o.actor], minute = date_trunc('minute', o.opened_at),
    tokens = t.amount, token_day = o.day, day_tokens = t.amount, token_minute = date_trunc('minute', o.opened_at), minute_tokens = t.amount
  FROM (SELECT i.event_id, coalesce(sum(r.amount) FILTER (WHERE r.kind = 'tokens_day'), 0) AS amount
        FROM open_intent i, unnest(i.reserved) r GROUP BY 1) t WHERE t.event_id = o.event_id;
INSERT INTO quota_counter
  SELECT 'user:' || u.subject, u.window_start, coalesce(sum(u.used) FILTER (WHERE u.kind = 'requests_day'), 0),
         coalesce(sum(u.used) FILTER (WHERE u.kind = 'tokens_day'), 0), '-infinity', 0, 0,
         (SELECT count(*) FROM open_intent o WHERE o.party = ARRAY['user:' || u.subject])
  FROM quota_usage u WHERE u.window_start = (SELECT max(l.window_start) FROM quota_usage l WHERE l.subject = u.subject)
  GROUP BY u.subject, u.window_start;
DROP FUNCTION usage_today(text, text[], text);
DROP FUNCTION quota_limit_of(text[], text);
DROP TABLE quota_usage;
ALTER TABLE open_intent DROP COLUMN reserved;
DROP TYPE reservation;
DROP TYPE batch_item;
DROP TYPE batch_verdict;

-- The limits of counters. `p_counters`: [{"subject":"user:usr_1","roles":["role:analyst"]},{"subject":"model:demo"}].
-- Only a person's counter names roles: it must find a limit of each kind, or it is null, which allows nothing. A counter
-- of many people counts where any limit is set for it, and lacks none. `d_…` are the limits in dry run.
CREATE FUNCTION limits_of(p_counters json, p_now timestamptz)
RETURNS TABLE (o_ord bigint, o_subject text, o_person boolean, o_counts boolean, requests_day bigint, tokens_day bigint, requests_minute bigint,
               tokens_minute bigint, concurrent bigint, d_requests_day bigint, d_tokens_day bigint, d_requests_minute bigint,
               d_tokens_minute bigint, d_concurrent bigint)
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
  WITH q AS MATERIALIZED (
    SELECT c.subject, c.roles, c.ord
    FROM ROWS FROM (json_to_recordset(p_counters) AS (subject text, roles text[])) WITH ORDINALITY AS c (subject, roles, ord)
  ), m AS MATERIALIZED (
    SELECT l.scope, l.kind, l.dry_run, CASE WHEN l.raised_until > p_now THEN l.raised_amount ELSE l.amount END AS amount
    FROM quota_limit l WHERE l.scope = ANY (ARRAY(SELECT q.subject FROM q UNION SELECT unnest(q.roles) FROM q))
  ), n AS MATERIALIZED (
    -- Of each scope and kind there is one row: in dry run it takes the place of a limit and allows everything.
    SELECT m.scope, m.kind, CASE WHEN m.dry_run THEN 9223372036854775807 ELSE m.amount END AS hard,
           CASE WHEN m.dry_run THEN m.amount END AS dry FROM m
  ), w AS MATERIALIZED (
    SELECT n.scope,
           min(hard) FILTER (WHERE kind = 'requests_day') AS rd, min(hard) FILTER (WHERE kind = 'tokens_day') AS td,
           min(hard) FILTER (WHERE kind = 'requests_minute') AS rm, min(hard) FILTER (WHERE kind = 'tokens_minute') AS tm,
           min(hard) FILTER (WHERE kind = 'concurrent') AS co,
           min(dry) FILTER (WHERE kind = 'requests_day') AS xrd, min(dry) FILTER (WHERE kind = 'tokens_day') AS xtd,
           min(dry) FILTER (WHERE kind = 'requests_minute') AS xrm, min(dry) FILTER (WHERE kind = 'tokens_minute') AS xtm,
           min(dry) FILTER (WHERE kind = 'concurrent') AS xco
    FROM n GROUP BY n.scope
  ), r AS MATERIALIZED (
    SELECT g.roles, min(rd) AS rd, min(td) AS td, min(rm) AS rm, min(tm) AS tm, min(co) AS co,
           min(xrd) AS xrd, min(xtd) AS xtd, min(xrm) AS xrm, min(xtm) AS xtm, min(xco) AS xco
    FROM (SELECT DISTINCT q.roles FROM q WHERE q.roles IS NOT NULL) g JOIN w ON w.scope = ANY (g.roles) GROUP BY g.roles
  )
  SELECT q.ord, q.subject, q.roles IS NOT NULL, q.roles IS NOT NULL OR w.scope IS NOT NULL,
         coalesce(w.rd, r.rd, f.free), coalesce(w.td, r.td, f.free), coalesce(w.rm, r.rm, f.free),
         coalesce(w.tm, r.tm, f.free), coalesce(w.co, r.co, f.free),
         CASE WHEN w.rd IS NULL THEN r.xrd ELSE w.xrd END, CASE WHEN w.td IS NULL THEN r.xtd ELSE w.xtd END,
         CASE WHEN w.rm IS NULL THEN r.xrm ELSE w.xrm END, CASE WHEN w.tm IS NULL THEN r.xtm ELSE w.xtm END,
         CASE WHEN w.co IS NULL THEN r.xco ELSE w.xco END
  FROM q CROSS JOIN LATERAL (SELECT CASE WHEN q.roles IS NULL THEN 9223372036854775807 END) AS f (free)
  LEFT JOIN w ON w.scope = q.subject
  LEFT JOIN r ON r.roles = q.roles
$$;

-- One item of a batch. Its columns stand beside its bytes (`event`), they are never parsed from them. `refused` holds the
-- bytes for every verdict that is not the wanted one, cut in two around the verdict's code; without it nothing is
-- recorded. `principal` and `counters` count into the batch's lists, from 0. `tokens`: to take, as many as there are but
-- not fewer than `least`; below 0: to give back. `used`: tokens really used, null: all that was reserved. `ran` false:
-- the request and all its tokens are given back.
CREATE TYPE batch_item AS (
  op text, id uuid, kind text, actor text, action text, resource text, outcome text, request text, event text,
  refused text[], refused_kind text, refused_outcome text,
  principal integer, counters integer[], tokens bigint, least bigint, open boolean, proof text, digest text,
  intent uuid, used bigint, ran boolean, opening text, change json
);
CREATE TYPE batch_verdict AS (
  verdict text, code text, wanted boolean, seq bigint, at timestamptz, detail json, party text[], taken bigint
);

-- p_principals: as judge_principals takes them. p_quotas: as limits_of takes them. p_items: batch_item.
-- Items are judged in order. Settlements (settle, close, void) come before extensions and admissions, and changes (any
-- other op but record) after them, so that what is read once for all stays true for each.
-- Returns a row per item in their order, and at the end one with o_idx = -1 that tells the day and when it ends.
-- The planner settings: these tables grow while the plans of a connection stay; only look-ups by index stay right.
CREATE OR REPLACE FUNCTION commit_batch(p_instance text, p_zone text, p_principals json, p_quotas json, p_items json)
RETURNS TABLE (o_idx integer, o_verdict text, o_code text, o_seq bigint, o_at text, o_leaf bytea, o_detail json)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_head head;  v_size bigint;  v_last timestamptz;  v_now timestamptz;  v_epoch bigint;  v_day date;  v_minute timestamptz;
  r batch_item;  v_items batch_item[];  v_out batch_verdict[];  v_open open_intent;
  v_idx integer := 0;  v_phase integer := 0;  v_q integer;  v_take bigint;  v_left bigint;  v_back bigint;  v_party text[];
  v_verdict text;  v_code text;  v_detail json;  v_text text;  v_wanted boolean;  v_append boolean;
  -- read once, after the lock; aligned with the items, the principals and the counters
  k_verdict text[];  k_seq bigint[];  k_answer json[];  v_settled bigint[];  p_verdict text[];
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
  SELECT array_agg(i) INTO v_items FROM json_populate_recordset(NULL::batch_item, p_items) i;
  v_day := (v_now AT TIME ZONE p_zone)::date;
  v_minute := date_trunc('minute', v_now);
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

  -- settle: by its own gateway. close: by any, once the lease of the gateway has run out; charged in full, and only if
  -- that is still as much as its record says. void: the caller was told 503, so if the admission did commit it has not
  -- run. Should the lost statement arrive later still, it will find its id taken. Of two settlements of one intent the
  -- first counts.
  WITH s AS MATERIALIZED (
    SELECT i.ordinality AS ord, i.op, i.intent, i.used, i.ran FROM unnest(v_items) WITH ORDINALITY i
    WHERE i.op IN ('settle', 'close', 'void') AND k_verdict[i.ordinality] IS NULL
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

  FOREACH r IN ARRAY coalesce(v_items, '{}') LOOP
    v_idx := v_idx + 1;
    IF k_verdict[v_idx] IS NOT NULL THEN
      -- A retry of what has already been committed: the first answer stands.
      v_out[v_idx] := ROW('duplicate', k_verdict[v_idx], false, k_seq[v_idx], NULL, k_answer[v_idx], NULL, NULL)::batch_verdict;
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

    IF v_append AND (v_wanted OR r.refused IS NOT NULL) THEN
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

  RETURN QUERY
    WITH stamped AS MATERIALIZED (
      SELECT x.ordinality AS ord, x.id, x.actor, x.action, x.resource, x.request, x.party, x.taken, x.verdict, x.code,
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
        SELECT z.id, z.verdict, z.seq, CASE WHEN z.verdict IN ('changed', 'refused', 'extended')
                 THEN json_build_object('code', z.code, 'detail', z.detail) END, v_now
        FROM z WHERE z.at IS NOT NULL OR z.verdict = 'extended'
    ), openings AS (
      INSERT INTO opening (seq, key)
        SELECT z.seq, decode(z.opening, 'hex') FROM z WHERE z.at IS NOT NULL AND z.opening IS NOT NULL
    ), opened AS (
      INSERT INTO open_intent (event_id, seq, request_id, instance, epoch, actor, action, resource, kind, opened_at, party, tokens,
                               day, minute, token_day, day_tokens, token_minute, minute_tokens)
        SELECT z.id, z.seq, z.request, p_instance, v_epoch, z.actor, z.action, z.resource, z.kind, v_now, z.party, coalesce(z.taken, 0),
               v_day, v_minute, v_day, coalesce(z.taken, 0), v_minute, coalesce(z.taken, 0)
        FROM z WHERE z.at IS NOT NULL AND z.opens
    )
    SELECT z.ord::integer - 1, z.verdict, z.code, z.seq, z.stamp, z.hash, z.detail FROM z ORDER BY z.ord;
  RETURN QUERY
    SELECT -1, NULL::text, NULL::text, NULL::bigint, NULL::text, NULL::bytea,
           json_build_object('day', v_day, 'reset_seconds',
             ceil(extract(epoch FROM ((v_day + 1)::timestamp AT TIME ZONE p_zone) - v_now))::bigint,
             'minute_seconds', ceil(extract(epoch FROM v_minute + interval '1 minute' - v_now))::bigint);
END $$;

-- What is left of each counter, by the database's clock: a row per counter, kind and way of counting.
CREATE FUNCTION quota_usage_of(p_counters json, p_zone text)
RETURNS TABLE (scope text, kind text, amount bigint, used bigint, dry_run boolean, window_start timestamptz, resets_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  WITH t AS (SELECT greatest(h.last_at, clock_timestamp()) AS at FROM head h),
  w AS (SELECT t.at, (t.at AT TIME ZONE p_zone)::date AS day, date_trunc('minute', t.at) AS minute FROM t)
  SELECT l.o_subject, k.kind, k.amount, coalesce(k.used, 0), k.dry,
         CASE WHEN k.kind LIKE '%_day' THEN w.day::timestamp AT TIME ZONE p_zone WHEN k.kind LIKE '%_minute' THEN w.minute END,
         CASE WHEN k.kind LIKE '%_day' THEN (w.day + 1)::timestamp AT TIME ZONE p_zone
              WHEN k.kind LIKE '%_minute' THEN w.minute + interval '1 minute' END
  FROM w CROSS JOIN LATERAL limits_of(p_counters, w.at) l
  LEFT JOIN quota_counter c ON c.subject = l.o_subject
  CROSS JOIN LATERAL (SELECT CASE WHEN c.day >= w.day THEN c.requests_day END AS rd, CASE WHEN c.day >= w.day THEN c.tokens_day END AS td,
                             CASE WHEN c.minute >= w.minute THEN c.requests_minute END AS rm,
                             CASE WHEN c.minute >= w.minute THEN c.tokens_minute END AS tm) u
  CROSS JOIN LATERAL (VALUES
    (1, 'requests_day', coalesce(l.requests_day, 0), u.rd, false), (2, 'tokens_day', coalesce(l.tokens_day, 0), u.td, false),
    (3, 'requests_minute', coalesce(l.requests_minute, 0), u.rm, false), (4, 'tokens_minute', coalesce(l.tokens_minute, 0), u.tm, false),
    (5, 'concurrent', coalesce(l.concurrent, 0), c.concurrent, false),
    (6, 'requests_day', l.d_requests_day, u.rd, true), (7, 'tokens_day', l.d_tokens_day, u.td, true),
    (8, 'requests_minute', l.d_requests_minute, u.rm, true), (9, 'tokens_minute', l.d_tokens_minute, u.tm, true),
    (10, 'concurrent', l.d_concurrent, c.concurrent, true)) AS k (ord, kind, amount, used, dry)
  WHERE l.o_counts AND k.amount IS NOT NULL AND k.amount < 9223372036854775807
  ORDER BY l.o_ord, k.ord
$$;

-- Every limit that is set, for those who set them; `name` of a user, or of a key with its owner.
CREATE FUNCTION list_quotas()
RETURNS TABLE (scope text, kind text, amount bigint, dry_run boolean, raised_amount bigint, raised_until timestamptz,
               changed_by text, changed_at timestamptz, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT l.scope, l.kind, l.amount, l.dry_run, l.raised_amount, l.raised_until, l.changed_by, l.changed_at,
         coalesce(a.username, o.username || ': ' || k.name)
  FROM quota_limit l
  LEFT JOIN account a ON l.scope = 'user:' || a.id
  LEFT JOIN api_key k ON l.scope = 'key:' || k.id LEFT JOIN account o ON o.id = k.account_id
  ORDER BY l.scope, l.kind
$$;

-- Whether what a scope names is there. Models are known to the configuration alone.
CREATE FUNCTION quota_scope_exists(p_scope text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT CASE split_part(p_scope, ':', 1)
    WHEN 'user' THEN EXISTS (SELECT FROM account WHERE id = substr(p_scope, 6))
    WHEN 'key' THEN EXISTS (SELECT FROM api_key WHERE id = substr(p_scope, 5) AND revoked_at IS NULL)
    WHEN 'department' THEN EXISTS (SELECT FROM account WHERE department = substr(p_scope, 12))
    WHEN 'role' THEN substr(p_scope, 6) IN ('admin', 'analyst', 'auditor', 'service')
    ELSE p_scope LIKE 'model:_%' END
$$;

-- `was`: the amount that the admin saw, in the record as the old value; null where there was none. What has changed since is refused.
CREATE FUNCTION change_quota_set(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_old quota_limit;
BEGIN
  SELECT * INTO v_old FROM quota_limit l WHERE l.scope = c->>'scope' AND l.kind = c->>'kind';
  o_ok := false;
  IF NOT quota_scope_exists(c->>'scope') THEN o_code := 'not_found';  RETURN; END IF;
  IF v_old.amount IS DISTINCT FROM (c->>'was')::bigint THEN o_code := 'version_conflict';  RETURN; END IF;
  INSERT INTO quota_limit AS l (scope, kind, amount, dry_run, raised_amount, raised_until, changed_by, changed_at)
    VALUES (c->>'scope', c->>'kind', (c->>'amount')::bigint, (c->>'dry_run')::boolean, (c->>'raised_amount')::bigint,
            (c->>'raised_until')::timestamptz, c->>'by', p_now)
    ON CONFLICT (scope, kind) DO UPDATE SET amount = excluded.amount, dry_run = excluded.dry_run, raised_amount = excluded.raised_amount,
      raised_until = excluded.raised_until, changed_by = excluded.changed_by, changed_at = excluded.changed_at;
  o_ok := true;
END $$;

CREATE FUNCTION change_quota_clear(c json, p_now timestamptz, OUT o_ok boolean, OUT o_code text, OUT o_detail json)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  DELETE FROM quota_limit l WHERE l.scope = c->>'scope' AND l.kind = c->>'kind' AND l.amount = (c->>'was')::bigint;
  o_ok := FOUND;
  o_code := CASE WHEN o_ok THEN NULL ELSE 'version_conflict' END;
END $$;

-- As before, and what each of them has reserved: the close charges exactly that.
DROP FUNCTION orphaned_intents();
CREATE FUNCTION orphaned_intents()
RETURNS TABLE (event_id uuid, request_id text, actor text, action text, resource text, kind text, seq bigint, tokens bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
  SELECT o.event_id, o.request_id, o.actor, o.action, o.resource, o.kind, o.seq, o.tokens
  FROM open_intent o LEFT JOIN instance i ON i.id = o.instance AND i.epoch = o.epoch
  WHERE i.id IS NULL OR i.lease_until < clock_timestamp() ORDER BY o.seq LIMIT 128
$$;

-- As in 0003. Counters that nobody has touched for eight days go; their next use begins at 0 as it would have with them.
CREATE OR REPLACE FUNCTION keep_house() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp AS $$
DECLARE
  v_head head;
  v_now timestamptz := clock_timestamp();
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('strongroom.keep_house')) THEN RETURN; END IF;
  SELECT * INTO v_head FROM head;
  IF v_head.covered < v_head.size + 1048576 THEN
    PERFORM cover_log(v_head.covered + 1048576);
    RETURN;
  END IF;
  DELETE FROM session WHERE ref IN (
    SELECT s.ref FROM session s WHERE s.expires_at < v_now - interval '1 day' FOR UPDATE SKIP LOCKED);
  DELETE FROM step_up_challenge WHERE ref IN (
    SELECT c.ref FROM step_up_challenge c WHERE c.created_at < v_now - interval '1 day' FOR UPDATE SKIP LOCKED);
  DELETE FROM quota_counter WHERE subject IN (
    SELECT u.subject FROM quota_counter u
    WHERE u.day < (v_now - interval '8 days')::date AND u.concurrent = 0 FOR UPDATE SKIP LOCKED);
  DELETE FROM instance WHERE id IN (
    SELECT i.id FROM instance i WHERE i.lease_until < v_now - interval '1 day'
      AND NOT EXISTS (SELECT FROM open_intent o WHERE o.instance = i.id) FOR UPDATE SKIP LOCKED);
  LOOP
    DELETE FROM dedupe WHERE ctid = ANY (ARRAY(
      SELECT d.ctid FROM dedupe d WHERE d.created_at < v_now - interval '24 hours' ORDER BY d.created_at LIMIT 5000));
    EXIT WHEN NOT FOUND OR clock_timestamp() > v_now + interval '2 s';
  END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON FUNCTION commit_batch(text, text, json, json, json), quota_usage_of(json, text), list_quotas(), quota_scope_exists(text),
  orphaned_intents() TO strongroom_app;
