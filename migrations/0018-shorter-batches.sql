-- The way into the log as in 0016, with less to start: what every call pays before its first item is mostly the start of
-- each statement and of each expression, so there are fewer of them, and none for what a batch does not hold.

-- `bytes`: the event as it is recorded, null where nothing is. All records of a batch have the batch's time.
ALTER TYPE batch_verdict DROP ATTRIBUTE at, ADD ATTRIBUTE bytes text;

-- p_kinds, p_refs, p_epochs, p_policies: the principals; judge_principals says what they are held against. p_subjects, p_roles: the
-- counters, limits_of says with which limits; of a person's counter the scopes of his roles with spaces between them, null for one
-- of many people. Items name both by their place, from 0.
-- Items are judged in order. Settlements (settle, close, void) come before extensions and admissions, and changes (any
-- other op but record) after them, so that what is read once for all stays true for each.
-- Returns JSON: `verdicts` has an array for each item: its index from 0, verdict, code, seq, at, leaf hash in hex, detail (of an
-- admission: the tokens that it took). Where admissions count, `counters` says at which place, from 1, the limits of each counter
-- stand in `limits` (and in `dry` those in dry run), and its use in `use`: as it was before the first of them, so that whoever
-- reads the verdicts can count on. The others tell when day and minute end.
-- The planner settings: these tables grow while the plans of a connection stay; only look-ups by index stay right. A plan made for
-- the values at hand seems cheaper than one for all wherever a list is short, and would be made for every batch.
DROP FUNCTION commit_batch(text, text, json, json, batch_item[]);
CREATE FUNCTION commit_batch(p_instance text, p_zone text, p_kinds text[], p_refs text[], p_epochs bigint[], p_policies bigint[],
                             p_subjects text[], p_roles text[], p_items batch_item[])
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = strongroom, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_first bigint;  v_covered bigint;  v_size bigint;  v_now timestamptz;  v_stamp text;  v_epoch bigint;  v_lease timestamptz;
  v_day date;  v_minute timestamptz;
  r batch_item;  v_out batch_verdict[];  v_open open_intent;
  v_idx integer := 0;  v_phase integer := 0;  v_q integer;  v_l integer;  v_u integer;  v_take bigint;  v_left bigint;  v_back bigint;
  v_party text[];  v_verdict text;  v_code text;  v_detail json;  v_text text;  v_wanted boolean;  v_append boolean;
  v_due boolean;  v_settles boolean := false;  v_odd boolean := false;  v_ids uuid[];
  -- what was committed before; of the items that settle, by their place: what they settle and how, and whether it was open
  k_id uuid[];  k_verdict text[];  k_seq bigint[];  k_answer json[];
  s_intent uuid[];  s_used bigint[];  s_undone boolean[];  s_open open_intent[];  s_due boolean[];
  -- principals: what is known of them
  p_verdict text[];  v_policy bigint;  a_session text[];  a_session_epoch bigint[];  a_key text[];  a_key_epoch bigint[];
  -- limits, and those in dry run, in the order requests_day, tokens_day, requests_minute, tokens_minute, concurrent
  l_scope text[];  l_hard bigint[];  l_dry bigint[];  v_hard bigint[];  v_dry bigint[];  v_scopes text[];  v_roles text;
  -- counters (c): where their limits (l) stand, and what is used of them (u), which is in the same order
  c_l integer[];  c_u integer[];  v_same integer;  v_counters integer[];  v_places integer[];  v_members text[];  v_use json;
  u_subject text[];  u_day date[];  u_minute timestamptz[];  u_use bigint[];  u_stale boolean[];  u_write boolean[];
BEGIN
  SELECT h.size, h.last_at, h.covered INTO v_first, v_now, v_covered FROM head h WHERE h.id FOR UPDATE;
  v_text := set_config('synchronous_commit', 'on', true);
  v_size := v_first;
  v_now := greatest(v_now, clock_timestamp());
  v_day := (v_now AT TIME ZONE p_zone)::date;
  v_minute := date_trunc('minute', v_now);
  IF v_size + coalesce(cardinality(p_items), 0) > v_covered THEN
    PERFORM cover_log(v_covered + 1048576);
  END IF;

  -- Who commits is alive, for 9 s at least. A lease that had run out starts a new epoch: what was open under the old one
  -- may be closed. One that was renewed within the last second is left as it is: nobody can end it before its time.
  SELECT i.epoch, i.lease_until INTO v_epoch, v_lease FROM instance i WHERE i.id = p_instance;
  IF (v_lease BETWEEN v_now + interval '9 s' AND v_now + interval '10 s') IS NOT TRUE THEN
    INSERT INTO instance AS i (id, started_at, lease_until) VALUES (p_instance, v_now, v_now + interval '10 s')
      ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until,
        epoch = i.epoch + CASE WHEN i.lease_until < v_now THEN 1 ELSE 0 END
      RETURNING epoch INTO v_epoch;
  END IF;

  FOREACH r IN ARRAY coalesce(p_items, '{}') LOOP
    v_idx := v_idx + 1;
    v_ids[v_idx] := r.id;
    CONTINUE WHEN r.intent IS NULL OR r.op = 'extend';
    s_intent[v_idx] := r.intent;
    s_used[v_idx] := r.used;
    s_undone[v_idx] := r.ran IS FALSE;
    v_settles := true;
    v_odd := v_odd OR r.op <> 'settle';
  END LOOP;
  v_idx := 0;
  -- Nearly always none.
  SELECT array_agg(d.event_id), array_agg(d.verdict), array_agg(d.seq), array_agg(d.answer)
    INTO k_id, k_verdict, k_seq, k_answer FROM dedupe d WHERE d.event_id = ANY (v_ids);
  IF k_id IS NOT NULL THEN
    FOR v_q IN 1 .. cardinality(v_ids) LOOP
      IF v_ids[v_q] = ANY (k_id) THEN s_intent[v_q] := NULL; END IF;
    END LOOP;
  END IF;

  -- settle: by its own gateway. close: by any, once the lease of the gateway has run out; charged in full, and only if
  -- that is still as much as its record says. void: the caller was told 503, so if the admission did commit it has not
  -- run. Should the lost statement arrive later still, it will find its id taken. Of two settlements of one intent the
  -- first counts.
  IF v_odd THEN
    FOR v_q IN
      SELECT i.ordinality FROM unnest(p_items) WITH ORDINALITY i JOIN open_intent o ON o.event_id = i.intent
      WHERE i.op = 'close' AND (coalesce(i.used, o.tokens) = o.tokens AND NOT EXISTS (
        SELECT FROM instance n WHERE n.id = o.instance AND n.epoch = o.epoch AND n.lease_until > v_now)) IS NOT TRUE
    LOOP
      s_intent[v_q] := NULL;
    END LOOP;
  END IF;
  IF v_settles THEN
    v_u := 0;
    FOR v_open IN DELETE FROM open_intent o WHERE o.event_id = ANY (s_intent) RETURNING o.* LOOP
      v_u := v_u + 1;
      s_open[v_u] := v_open;
      s_due[array_position(s_intent, v_open.event_id)] := true;
      v_scopes := v_scopes || v_open.party;
    END LOOP;
    IF v_odd THEN
      INSERT INTO dedupe (event_id, verdict, seq, created_at)
        SELECT i.intent, 'void', NULL, v_now FROM unnest(p_items) WITH ORDINALITY i
        WHERE i.op = 'void' AND s_intent[i.ordinality] IS NOT NULL AND s_due[i.ordinality] IS NOT TRUE
        ON CONFLICT DO NOTHING;
    END IF;
  END IF;

  IF cardinality(p_refs) > 0 THEN
    SELECT v.version INTO v_policy FROM policy_version v ORDER BY v.version DESC LIMIT 1;
    IF 'session' = ANY (p_kinds) THEN
      SELECT array_agg(s.ref), array_agg(CASE WHEN a.disabled_at IS NULL THEN a.epoch END), bool_or(s.last_seen_at < v_now - interval '30 s')
        INTO a_session, a_session_epoch, v_due
        FROM session s JOIN account a ON a.id = s.account_id
        WHERE s.ref = ANY (p_refs) AND s.ended_at IS NULL AND s.expires_at > v_now
          AND s.last_seen_at + make_interval(secs => s.idle_seconds) > v_now;
      IF v_due THEN
        UPDATE session s SET last_seen_at = v_now WHERE s.ref = ANY (a_session) AND s.last_seen_at < v_now - interval '30 s';
      END IF;
    END IF;
    IF 'api_key' = ANY (p_kinds) THEN
      SELECT array_agg(k.id),
             array_agg(CASE WHEN k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > v_now) AND a.disabled_at IS NULL THEN a.epoch END),
             bool_or(k.last_used_at IS NULL OR k.last_used_at < v_now - interval '60 s')
        INTO a_key, a_key_epoch, v_due
        FROM api_key k JOIN account a ON a.id = k.account_id WHERE k.id = ANY (p_refs);
      IF v_due THEN
        UPDATE api_key k SET last_used_at = v_now
          WHERE k.id = ANY (a_key) AND (k.last_used_at IS NULL OR k.last_used_at < v_now - interval '60 s');
      END IF;
    END IF;
    FOR v_q IN 1 .. cardinality(p_refs) LOOP
      v_left := CASE p_kinds[v_q] WHEN 'session' THEN a_session_epoch[array_position(a_session, p_refs[v_q])]
                                 WHEN 'api_key' THEN a_key_epoch[array_position(a_key, p_refs[v_q])] END;
      p_verdict[v_q] := CASE WHEN v_left IS NULL THEN 'revoked'
                             WHEN v_left IS DISTINCT FROM p_epochs[v_q] OR p_policies[v_q] IS DISTINCT FROM v_policy THEN 'stale'
                             ELSE 'valid' END;
    END LOOP;
  END IF;

  v_scopes := p_subjects || v_scopes;
  IF cardinality(v_scopes) > 0 THEN
    -- A window that is over counts from 0.
    SELECT array_agg(u.subject), array_agg(greatest(u.day, v_day)), array_agg(greatest(u.minute, v_minute)), array_agg(u.day < v_day),
           array_agg(ARRAY[CASE WHEN u.day >= v_day THEN u.requests_day ELSE 0 END, CASE WHEN u.day >= v_day THEN u.tokens_day ELSE 0 END,
             CASE WHEN u.minute >= v_minute THEN u.requests_minute ELSE 0 END,
             CASE WHEN u.minute >= v_minute THEN u.tokens_minute ELSE 0 END, u.concurrent])
      INTO u_subject, u_day, u_minute, u_stale, u_use
      FROM quota_counter u WHERE u.subject = ANY (v_scopes);
  END IF;

  -- Of a window that is over nothing can be given back: nobody can take from it any more.
  FOREACH v_open IN ARRAY coalesce(s_open, '{}') LOOP
    v_q := array_position(s_intent, v_open.event_id);
    v_back := CASE WHEN s_undone[v_q] THEN v_open.tokens WHEN s_used[v_q] IS NULL THEN 0 ELSE greatest(0, v_open.tokens - s_used[v_q]) END;
    FOREACH v_text IN ARRAY v_open.party LOOP
      v_u := array_position(u_subject, v_text);
      CONTINUE WHEN v_u IS NULL;
      u_write[v_u] := NOT u_stale[v_u];
      u_use[v_u][5] := greatest(0, u_use[v_u][5] - 1);
      IF v_back > 0 AND u_day[v_u] = v_day AND v_open.token_day = v_day THEN
        u_use[v_u][2] := greatest(0, u_use[v_u][2] - least(v_back, v_open.day_tokens));
      END IF;
      IF v_back > 0 AND u_minute[v_u] = v_minute AND v_open.token_minute = v_minute THEN
        u_use[v_u][4] := greatest(0, u_use[v_u][4] - least(v_back, v_open.minute_tokens));
      END IF;
      IF s_undone[v_q] THEN
        IF u_day[v_u] = v_day AND v_open.day = v_day THEN u_use[v_u][1] := greatest(0, u_use[v_u][1] - 1); END IF;
        IF u_minute[v_u] = v_minute AND v_open.minute = v_minute THEN u_use[v_u][3] := greatest(0, u_use[v_u][3] - 1); END IF;
      END IF;
    END LOOP;
  END LOOP;

  -- The limits of each counter. A person must find one of each kind, his own or the least of his roles', or it is null, which
  -- allows nothing. What many people share counts where any limit is set for it, and lacks none.
  IF cardinality(p_subjects) > 0 THEN
    v_scopes := p_subjects;
    FOREACH v_text IN ARRAY p_roles LOOP
      CONTINUE WHEN v_text IS NULL OR v_text = v_roles;
      v_roles := v_text;
      v_scopes := v_scopes || string_to_array(v_text, ' ');
    END LOOP;
    -- Of each scope and kind there is one row: in dry run it takes the place of a limit and allows everything.
    SELECT array_agg(w.scope), bool_or(w.dry_run),
           array_agg(ARRAY[coalesce(w.rd, w.free), coalesce(w.td, w.free), coalesce(w.rm, w.free), coalesce(w.tm, w.free), coalesce(w.co, w.free)])
      INTO l_scope, v_due, l_hard
      FROM (
        SELECT l.scope, min(l.hard) FILTER (WHERE l.kind = 'requests_day') AS rd, min(l.hard) FILTER (WHERE l.kind = 'tokens_day') AS td,
               min(l.hard) FILTER (WHERE l.kind = 'requests_minute') AS rm, min(l.hard) FILTER (WHERE l.kind = 'tokens_minute') AS tm,
               min(l.hard) FILTER (WHERE l.kind = 'concurrent') AS co, bool_or(l.dry_run) AS dry_run,
               CASE WHEN l.scope NOT LIKE 'user:%' AND l.scope NOT LIKE 'role:%' THEN 9223372036854775807 END AS free
        FROM (
          SELECT q.scope, q.kind, q.dry_run,
                 CASE WHEN q.dry_run THEN 9223372036854775807 WHEN q.raised_until > v_now THEN q.raised_amount ELSE q.amount END AS hard
          FROM quota_limit q WHERE q.scope = ANY (v_scopes)) l
        GROUP BY l.scope ORDER BY l.scope) w;
    IF v_due THEN
      SELECT array_agg(ARRAY[w.rd, w.td, w.rm, w.tm, w.co]) INTO l_dry
        FROM (
          SELECT l.scope, min(l.amount) FILTER (WHERE l.kind = 'requests_day') AS rd, min(l.amount) FILTER (WHERE l.kind = 'tokens_day') AS td,
                 min(l.amount) FILTER (WHERE l.kind = 'requests_minute') AS rm, min(l.amount) FILTER (WHERE l.kind = 'tokens_minute') AS tm,
                 min(l.amount) FILTER (WHERE l.kind = 'concurrent') AS co
          FROM (
            SELECT q.scope, q.kind,
                   CASE WHEN q.dry_run THEN CASE WHEN q.raised_until > v_now THEN q.raised_amount ELSE q.amount END END AS amount
            FROM quota_limit q WHERE q.scope = ANY (v_scopes)) l
          GROUP BY l.scope ORDER BY l.scope) w;
    END IF;
    v_roles := NULL;
    FOR v_q IN 1 .. cardinality(p_subjects) LOOP
      v_l := array_position(l_scope, p_subjects[v_q]);
      IF p_roles[v_q] IS NOT NULL THEN
        IF v_l IS NULL AND p_roles[v_q] = v_roles THEN
          v_l := v_same;
        ELSE
          v_same := CASE WHEN v_l IS NULL THEN array_position(l_scope, p_roles[v_q]) END;
          IF v_same IS NULL THEN
            v_hard := coalesce(l_hard[v_l:v_l], '{{NULL,NULL,NULL,NULL,NULL}}');
            v_dry := coalesce(l_dry[v_l:v_l], '{{NULL,NULL,NULL,NULL,NULL}}');
            FOR v_u IN 1 .. 5 LOOP
              CONTINUE WHEN v_hard[1][v_u] IS NOT NULL;
              FOREACH v_text IN ARRAY string_to_array(p_roles[v_q], ' ') LOOP
                v_same := array_position(l_scope, v_text);
                v_hard[1][v_u] := least(v_hard[1][v_u], l_hard[v_same][v_u]);
                v_dry[1][v_u] := least(v_dry[1][v_u], l_dry[v_same][v_u]);
              END LOOP;
            END LOOP;
            l_hard := l_hard || v_hard;
            IF v_due THEN l_dry := l_dry || v_dry; END IF;
            v_same := array_length(l_hard, 1);
          END IF;
          v_roles := CASE WHEN v_l IS NULL THEN p_roles[v_q] END;
          v_l := v_same;
        END IF;
      END IF;
      v_u := array_position(u_subject, p_subjects[v_q]);
      IF v_u IS NULL AND v_l IS NOT NULL THEN
        u_subject := u_subject || p_subjects[v_q];
        u_day := u_day || v_day;
        u_minute := u_minute || v_minute;
        u_stale := u_stale || false;
        u_use := u_use || '{{0,0,0,0,0}}'::bigint[];
        v_u := cardinality(u_subject);
      END IF;
      c_l[v_q] := v_l;
      c_u[v_q] := v_u;
    END LOOP;
  END IF;

  FOREACH r IN ARRAY coalesce(p_items, '{}') LOOP
    v_idx := v_idx + 1;
    v_q := array_position(k_id, r.id);
    IF v_q IS NOT NULL THEN
      -- A retry of what has already been committed: the first answer stands.
      v_out[v_idx] := ROW('duplicate', k_verdict[v_q], false, k_seq[v_q], k_answer[v_q], NULL, NULL, NULL)::batch_verdict;
      CONTINUE;
    END IF;
    v_code := NULL;  v_detail := NULL;  v_append := true;  v_party := '{}';  v_take := NULL;

    IF r.op = 'admit' THEN
      IF v_phase > 2 THEN RAISE EXCEPTION 'an admission may not follow a change in one batch'; END IF;
      v_phase := 2;
      v_verdict := coalesce(p_verdict[r.principal + 1], 'revoked');
      IF v_verdict = 'valid' THEN
        v_verdict := 'admitted';
        v_take := r.tokens;
        IF r.counters IS NOT NULL THEN
          IF (r.least >= 0 AND r.tokens >= r.least) IS NOT TRUE THEN v_verdict := 'quota';  v_code := 'tokens_day:user'; END IF;
          IF r.counters IS DISTINCT FROM v_counters THEN
            v_counters := r.counters;
            v_places := '{}';
            v_members := '{}';
            FOREACH v_q IN ARRAY v_counters LOOP
              v_q := v_q + 1;
              CONTINUE WHEN c_l[v_q] IS NULL;
              v_places := v_places || v_q;
              v_members := v_members || p_subjects[v_q];
            END LOOP;
          END IF;
          IF v_use IS NULL THEN v_use := array_to_json(u_use); END IF;
          FOREACH v_q IN ARRAY v_places LOOP
            v_l := c_l[v_q];
            v_u := c_u[v_q];
            IF (u_use[v_u][2] + v_take <= l_hard[v_l][2] AND u_use[v_u][4] + v_take <= l_hard[v_l][4] AND u_use[v_u][1] < l_hard[v_l][1]
                AND u_use[v_u][3] < l_hard[v_l][3] AND u_use[v_u][5] < l_hard[v_l][5]) IS NOT TRUE THEN
              -- The longest wait first: whoever comes back after it is not refused again for the day.
              v_text := CASE WHEN (u_use[v_u][1] < l_hard[v_l][1]) IS NOT TRUE THEN 'requests_day'
                             WHEN (u_use[v_u][2] + r.least <= l_hard[v_l][2]) IS NOT TRUE THEN 'tokens_day'
                             WHEN (u_use[v_u][3] < l_hard[v_l][3]) IS NOT TRUE THEN 'requests_minute'
                             WHEN (u_use[v_u][4] + r.least <= l_hard[v_l][4]) IS NOT TRUE THEN 'tokens_minute'
                             WHEN (u_use[v_u][5] < l_hard[v_l][5]) IS NOT TRUE THEN 'concurrent' END;
              IF v_text IS NOT NULL THEN
                v_verdict := 'quota';
                v_code := coalesce(v_code, v_text || ':' || split_part(p_subjects[v_q], ':', 1));
                EXIT;
              END IF;
              v_take := least(v_take, l_hard[v_l][2] - u_use[v_u][2], l_hard[v_l][4] - u_use[v_u][4]);
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
          IF v_wanted THEN
            v_party := v_members;
            FOREACH v_q IN ARRAY v_places LOOP
              v_u := c_u[v_q];
              u_use[v_u][1] := u_use[v_u][1] + 1;
              u_use[v_u][2] := u_use[v_u][2] + v_take;
              u_use[v_u][3] := u_use[v_u][3] + 1;
              u_use[v_u][4] := u_use[v_u][4] + v_take;
              u_use[v_u][5] := u_use[v_u][5] + r.open::integer;
              u_write[v_u] := true;
            END LOOP;
          END IF;
          v_detail := to_json(CASE WHEN v_wanted THEN v_take ELSE 0 END);
        END IF;
      END IF;
      v_wanted := v_verdict = 'admitted';
      -- Stale is no denial: the gateway loads the principal again and decides again.
      IF v_verdict = 'stale' THEN v_append := false; END IF;

    ELSIF r.op = 'extend' THEN
      -- More tokens for what runs, or back what it will not need. No record of its own: the outcome says what was taken.
      IF v_phase > 1 THEN RAISE EXCEPTION 'an extension may not follow an admission or a change in one batch'; END IF;
      v_phase := 1;
      v_append := false;
      SELECT * INTO v_open FROM open_intent o WHERE o.event_id = r.intent AND o.instance = p_instance;
      v_wanted := FOUND;
      v_verdict := CASE WHEN v_wanted THEN 'extended' ELSE 'late' END;
      IF v_wanted THEN
        -- As at admission: a counter that was limited since does not count for it, one that is not any more still does.
        IF NOT v_open.party <@ ARRAY(SELECT p_subjects[q + 1] FROM unnest(r.counters) q) THEN
          RAISE EXCEPTION 'an extension must name the counters of its admission';
        END IF;
        v_take := r.tokens;
        FOREACH v_q IN ARRAY r.counters LOOP
          v_q := v_q + 1;
          v_u := c_u[v_q];
          v_l := c_l[v_q];
          CONTINUE WHEN v_take <= 0 OR v_l IS NULL OR NOT p_subjects[v_q] = ANY (v_open.party);
          v_left := greatest(0, coalesce(least(l_hard[v_l][2] - u_use[v_u][2], l_hard[v_l][4] - u_use[v_u][4]), 0));
          IF l_hard[v_l][2] IS NULL OR l_hard[v_l][4] IS NULL THEN v_left := 0; END IF;
          IF v_left < v_take THEN
            v_code := CASE WHEN (l_hard[v_l][2] - u_use[v_u][2] <= v_left) IS NOT FALSE THEN 'tokens_day:' ELSE 'tokens_minute:' END
                      || split_part(p_subjects[v_q], ':', 1);
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
          v_u := c_u[v_q];
          CONTINUE WHEN v_take = 0 OR v_u IS NULL OR NOT p_subjects[v_q] = ANY (v_open.party);
          u_write[v_u] := true;
          -- What is given back goes to the windows that gave it last; what is over is over.
          IF v_take > 0 OR (v_open.token_day = v_day AND u_day[v_u] = v_day) THEN
            u_use[v_u][2] := greatest(0, u_use[v_u][2] + greatest(v_take, -v_open.day_tokens));
          END IF;
          IF v_take > 0 OR (v_open.token_minute = v_minute AND u_minute[v_u] = v_minute) THEN
            u_use[v_u][4] := greatest(0, u_use[v_u][4] + greatest(v_take, -v_open.minute_tokens));
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
      v_wanted := coalesce(s_due[v_idx], false);
      v_verdict := CASE WHEN v_wanted THEN 'settled' ELSE 'late' END;
      v_code := CASE WHEN v_wanted THEN NULL ELSE 'late_outcome' END;
      v_append := v_wanted OR r.op = 'settle';

    ELSIF r.op = 'record' THEN
      v_wanted := true;
      v_verdict := 'recorded';

    ELSE
      v_phase := 3;
      SELECT c.o_ok, c.o_code, c.o_detail INTO v_wanted, v_code, v_detail FROM apply_change(r.op, r.change, v_now) c;
      v_verdict := CASE WHEN v_wanted THEN 'changed' ELSE 'refused' END;
    END IF;

    IF v_append AND (v_wanted OR r.refused_at IS NOT NULL) THEN
      v_text := r.event;
      IF NOT v_wanted THEN
        v_text := left(r.event, r.refused_at[1]) || r.refused_kind
          || substr(r.event, r.refused_at[1] + length(r.kind) + 1, r.refused_at[2] - r.refused_at[1] - length(r.kind)) || r.refused_outcome
          || substr(r.event, r.refused_at[2] + length(r.outcome) + 1, r.refused_at[3] - r.refused_at[2] - length(r.outcome))
          || ',"outcome_code":"' || coalesce(v_code, v_verdict) || '"' || substr(r.event, r.refused_at[4] + 1);
      END IF;
      v_out[v_idx] := ROW(v_verdict, v_code, v_wanted, v_size, v_detail, v_party, v_take, v_text)::batch_verdict;
      v_size := v_size + 1;
    ELSE
      v_out[v_idx] := ROW(v_verdict, v_code, v_wanted, NULL, v_detail, NULL, NULL, NULL)::batch_verdict;
    END IF;
  END LOOP;

  IF v_size > v_first THEN
    UPDATE head SET size = v_size, last_at = v_now WHERE id;
  END IF;
  IF u_write IS NOT NULL THEN
    INSERT INTO quota_counter AS u (subject, day, requests_day, tokens_day, minute, requests_minute, tokens_minute, concurrent)
      SELECT u_subject[i], u_day[i], u_use[i][1], u_use[i][2], u_minute[i], u_use[i][3], u_use[i][4], u_use[i][5]
      FROM generate_series(1, cardinality(u_subject)) i WHERE u_write[i]
      ON CONFLICT (subject) DO UPDATE SET day = excluded.day, requests_day = excluded.requests_day, tokens_day = excluded.tokens_day,
        minute = excluded.minute, requests_minute = excluded.requests_minute, tokens_minute = excluded.tokens_minute,
        concurrent = excluded.concurrent;
    -- Whose day is over keeps it until he takes something: a gateway may name another zone.
    IF false = ANY (u_write) THEN
      UPDATE quota_counter u SET concurrent = u_use[i][5]
        FROM generate_series(1, cardinality(u_subject)) i WHERE NOT u_write[i] AND u.subject = u_subject[i];
    END IF;
  END IF;

  v_stamp := to_char(v_now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
  WITH written AS (
    SELECT x.ordinality AS ord, x.id, x.actor, x.action, x.resource, x.request, x.party, x.taken, x.verdict, x.code, x.detail, x.seq,
           x.wanted AND x.op = 'admit' AND x.open AS opens,
           CASE WHEN x.wanted THEN x.kind ELSE x.refused_kind END AS kind,
           CASE WHEN x.wanted THEN x.outcome ELSE x.refused_outcome END AS outcome,
           CASE WHEN x.wanted THEN x.opening END AS opening,
           '{"at":"' || v_stamp || '","event":' || x.bytes || ',"seq":' || x.seq || ',"v":1}' AS record
    FROM ROWS FROM (unnest(p_items), unnest(v_out)) WITH ORDINALITY x OFFSET 0
  ), z AS MATERIALIZED (
    SELECT w.*, sha256('\x00'::bytea || convert_to(w.record, 'UTF8')) AS hash FROM written w
  ), entries AS (
    INSERT INTO entry (seq, at, event_id, kind, actor, action, resource, outcome, request_id, record)
      SELECT z.seq, v_now, z.id, z.kind, z.actor, z.action, z.resource, z.outcome, z.request, z.record
      FROM z WHERE z.record IS NOT NULL
  ), leaves AS (
    INSERT INTO leaf (seq, hash) SELECT z.seq, z.hash FROM z WHERE z.record IS NOT NULL
  ), known AS (
    INSERT INTO dedupe (event_id, verdict, seq, answer, created_at)
      SELECT z.id, z.verdict, z.seq, CASE WHEN z.verdict IN ('changed', 'refused', 'extended')
               THEN json_build_object('code', z.code, 'detail', z.detail) END, v_now
      FROM z WHERE z.record IS NOT NULL OR z.verdict = 'extended'
  ), openings AS (
    INSERT INTO opening (seq, key) SELECT z.seq, z.opening FROM z WHERE z.record IS NOT NULL AND z.opening IS NOT NULL
  ), opened AS (
    INSERT INTO open_intent (event_id, seq, request_id, instance, epoch, actor, action, resource, kind, opened_at, party, tokens,
                             day, minute, token_day, day_tokens, token_minute, minute_tokens)
      SELECT z.id, z.seq, z.request, p_instance, v_epoch, z.actor, z.action, z.resource, z.kind, v_now, z.party, coalesce(z.taken, 0),
             v_day, v_minute, v_day, coalesce(z.taken, 0), v_minute, coalesce(z.taken, 0)
      FROM z WHERE z.record IS NOT NULL AND z.opens
  )
  SELECT string_agg('[' || z.ord - 1 || ',"' || z.verdict || '",' || coalesce(to_json(z.code)::text, 'null') || ',' || coalesce(z.seq::text, 'null')
           || coalesce(',"' || v_stamp || '","' || encode(z.hash, 'hex') || '",', ',null,null,') || coalesce(z.detail::text, 'null') || ']', ',')
    INTO v_text FROM z;
  RETURN '{"day_seconds":' || ceil(extract(epoch FROM ((v_day + 1)::timestamp AT TIME ZONE p_zone) - v_now))::bigint
    || ',"minute_seconds":' || ceil(extract(epoch FROM v_minute + interval '1 minute' - v_now))::bigint
    || CASE WHEN v_use IS NULL THEN '' ELSE ',"counters":[' || array_to_json(c_l) || ',' || array_to_json(c_u) || '],"limits":' || array_to_json(l_hard)
         || coalesce(',"dry":' || array_to_json(l_dry), '') || ',"use":' || v_use END
    || ',"verdicts":[' || coalesce(v_text, '') || ']}';
END $$;

REVOKE ALL ON FUNCTION commit_batch(text, text, text[], text[], bigint[], bigint[], text[], text[], batch_item[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION commit_batch(text, text, text[], text[], bigint[], bigint[], text[], text[], batch_item[])
  TO strongroom_app, strongroom_keeper;
