-- What an auditor filters by has an index in the order of the pages, newest first. Nearly every record is the intent or
-- the outcome of an answer that went well: these values are found anywhere, so their indexes leave them out, and an
-- append of such a record costs nothing more. Time is a range of seq: `at` never runs backwards against it.
CREATE INDEX entry_action ON entry (action, seq) WHERE action <> 'infer';
CREATE INDEX entry_outcome ON entry (outcome, seq) WHERE outcome NOT IN ('admitted', 'completed');
CREATE INDEX entry_resource ON entry (resource, seq);
CREATE INDEX actor_name_name ON actor_name (name);
