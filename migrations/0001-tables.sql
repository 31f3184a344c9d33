-- Everything Strongroom keeps. Owned by strongroom_owner (NOLOGIN); the application role owns nothing, reads nothing
-- directly and may only execute the functions of 0002 and 0003.

-- The one row that every recorded change locks first: the order of the log is the order of truth.
CREATE TABLE head (
  id       boolean PRIMARY KEY DEFAULT true CHECK (id),
  size     bigint NOT NULL DEFAULT 0,                            -- records so far = the next seq
  last_at  timestamptz NOT NULL DEFAULT '-infinity',             -- time never runs backwards against seq
  covered  bigint NOT NULL DEFAULT 0                             -- partitions of entry reach up to here
);
INSERT INTO head DEFAULT VALUES;

-- The records. `record` is the hashed text, all other columns are copies for searching and are recomputed by `verify`.
CREATE TABLE entry (
  seq        bigint NOT NULL,
  at         timestamptz NOT NULL,
  event_id   uuid NOT NULL,
  kind       text NOT NULL,
  actor      text NOT NULL,
  action     text NOT NULL,
  resource   text NOT NULL,
  outcome    text NOT NULL,
  request_id text,
  record     text NOT NULL,
  PRIMARY KEY (seq)
) PARTITION BY RANGE (seq);
CREATE INDEX entry_at ON entry (at);
CREATE INDEX entry_request ON entry (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX entry_actor ON entry (actor, seq);

-- RFC 9162 leaf hashes, apart from the bodies: retention drops bodies, never leaves.
CREATE TABLE leaf (
  seq  bigint PRIMARY KEY,
  hash bytea NOT NULL CHECK (length(hash) = 32)
);

-- Keys of the salted commitments. Deleting one erases the link to a text; every proof still verifies.
CREATE TABLE opening (
  seq bigint PRIMARY KEY,
  key bytea NOT NULL CHECK (length(key) = 32)
);

-- Names of persons live here and in account alone; records hold opaque ids.
CREATE TABLE actor_name (
  actor text PRIMARY KEY,
  name  text NOT NULL
);

-- What an event id led to, for retries that must not happen twice. Kept for 24 hours.
CREATE TABLE dedupe (
  event_id   uuid PRIMARY KEY,
  verdict    text NOT NULL,
  seq        bigint,
  answer     json,                                               -- of a change: {"code", "detail"}
  created_at timestamptz NOT NULL
);
CREATE INDEX dedupe_created ON dedupe (created_at);

-- A gateway process. Its lease is what keeps others from closing its open intents.
CREATE TABLE instance (
  id          text PRIMARY KEY,
  epoch       bigint NOT NULL DEFAULT 1,
  started_at  timestamptz NOT NULL,
  lease_until timestamptz NOT NULL
);

-- Admitted and not yet settled. What was reserved counts on `day`, whenever it is settled.
CREATE TYPE reservation AS (subject text, kind text, amount bigint);
CREATE TABLE open_intent (
  event_id   uuid PRIMARY KEY,
  seq        bigint NOT NULL,
  request_id text NOT NULL,
  instance   text NOT NULL,
  epoch      bigint NOT NULL,
  actor      text NOT NULL,
  action     text NOT NULL,
  resource   text NOT NULL,
  kind       text NOT NULL,
  day        date NOT NULL,
  reserved   reservation[] NOT NULL,
  opened_at  timestamptz NOT NULL
);

CREATE TABLE account (
  id                  text PRIMARY KEY,
  username            text NOT NULL UNIQUE,
  password_hash       text,
  password_changed_at timestamptz,
  roles               text[] NOT NULL,
  department          text NOT NULL DEFAULT '',
  clearance           integer NOT NULL DEFAULT 0 CHECK (clearance BETWEEN 0 AND 4),
  totp_secret         bytea,                                     -- sealed (AES-256-GCM), never in clear
  totp_last_step      bigint NOT NULL DEFAULT 0,                 -- RFC 6238: a time step is accepted once
  disabled_at         timestamptz,
  epoch               bigint NOT NULL DEFAULT 1,                 -- counts every change that a cached principal must obey
  created_at          timestamptz NOT NULL
);

CREATE TABLE session (
  ref          text PRIMARY KEY,                                 -- SHA-256 of the token, hex
  account_id   text NOT NULL REFERENCES account (id),
  factors      text[] NOT NULL,
  created_at   timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  idle_seconds integer NOT NULL,
  expires_at   timestamptz NOT NULL,
  ended_at     timestamptz
);
CREATE INDEX session_account ON session (account_id) WHERE ended_at IS NULL;
CREATE INDEX session_expires ON session (expires_at);

CREATE TABLE api_key (
  id           text PRIMARY KEY,
  account_id   text NOT NULL REFERENCES account (id),
  name         text NOT NULL,
  secret_hash  text NOT NULL UNIQUE,                             -- SHA-256 of the whole key, hex
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
CREATE INDEX api_key_account ON api_key (account_id);

CREATE TABLE step_up_challenge (
  ref        text PRIMARY KEY,                                   -- SHA-256 of the challenge, hex
  account_id text NOT NULL REFERENCES account (id),
  session    text NOT NULL,
  digest     text NOT NULL,                                      -- SHA-256 over the operation
  operation  text NOT NULL,                                      -- the sentence that the user is shown
  failures   integer NOT NULL DEFAULT 0,
  proof_ref  text UNIQUE,                                        -- SHA-256 of the proof, hex, once a code was good
  proof_until timestamptz,
  spent_at   timestamptz,
  created_at timestamptz NOT NULL
);
CREATE INDEX step_up_challenge_created ON step_up_challenge (created_at);

-- Numbered policies; the highest number is in force. Never updated: a rollback is a new version with old content.
CREATE TABLE policy_version (
  version    bigint PRIMARY KEY,
  model      text NOT NULL,
  policy     text NOT NULL,
  sha256     text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);

-- A limit per scope (`user:<id>` or `role:<name>`) and kind. No row means refusal, never "no limit".
CREATE TABLE quota_limit (
  scope  text NOT NULL,
  kind   text NOT NULL CHECK (kind IN ('requests_day', 'tokens_day')),
  amount bigint NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (scope, kind)
);
INSERT INTO quota_limit (scope, kind, amount) VALUES
  ('role:analyst', 'requests_day', 1000),
  ('role:analyst', 'tokens_day', 2000000),
  ('role:service', 'requests_day', 1000),
  ('role:service', 'tokens_day', 2000000);

CREATE TABLE quota_usage (
  subject      text NOT NULL,
  kind         text NOT NULL,
  window_start date NOT NULL,
  used         bigint NOT NULL CHECK (used >= 0),
  PRIMARY KEY (subject, kind, window_start)
) WITH (fillfactor = 50);

-- The seat belt: rows of the log can't be changed or removed, not even by the owner. A superuser can take it off,
-- so it is not the proof; the tree is.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE ON entry FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER leaf_append_only BEFORE UPDATE OR DELETE ON leaf FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER leaf_no_truncate BEFORE TRUNCATE ON leaf FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_append_only BEFORE UPDATE OR DELETE ON policy_version FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_no_truncate BEFORE TRUNCATE ON policy_version FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Partitions of 2^20 records, made ahead of need. Attaching takes a weaker lock than CREATE ... PARTITION OF, so that
-- an auditor's long read does not hold up the log.
CREATE FUNCTION cover_log(p_upto bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_from bigint;
  v_name text;
BEGIN
  SELECT covered INTO v_from FROM head WHERE id FOR UPDATE;
  WHILE v_from < p_upto LOOP
    v_name := 'entry_' || lpad((v_from / 1048576)::text, 6, '0');
    EXECUTE format('CREATE TABLE %I (LIKE entry INCLUDING ALL, CHECK (seq >= %s AND seq < %s))',
                   v_name, v_from, v_from + 1048576);
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', v_name);
    EXECUTE format('ALTER TABLE entry ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', v_name, v_from, v_from + 1048576);
    v_from := v_from + 1048576;
    UPDATE head SET covered = v_from WHERE id;
  END LOOP;
END $$;
SELECT cover_log(2097152);

-- The auditor's own role: seven days, by the database's clock. No parameter widens it.
ALTER TABLE entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY seven_days ON entry FOR SELECT TO strongroom_auditor USING (at >= now() - interval '7 days');
GRANT USAGE ON SCHEMA strongroom TO strongroom_app, strongroom_auditor;
GRANT SELECT ON entry, leaf, actor_name TO strongroom_auditor;
