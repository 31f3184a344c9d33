-- `strongroom audit verify` and `export`: the whole log, read and nothing else. audit.md, "How tampering shows".
-- Not for a login that serves requests: an auditor's seven days would end there.

CREATE POLICY whole_log ON entry FOR SELECT TO strongroom_verifier USING (true);
GRANT USAGE ON SCHEMA strongroom TO strongroom_verifier;
GRANT SELECT ON head, entry, leaf, tree, tree_node, checkpoint, signing_key, migration TO strongroom_verifier;
GRANT SELECT (event_id, seq) ON open_intent TO strongroom_verifier;
