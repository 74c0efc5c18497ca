-- What this program adds to a database: a log of changed rows, whoever changes them, and a register of nodes.

CREATE TABLE IF NOT EXISTS silverback_changes (
    version bigserial PRIMARY KEY,
    entity text NOT NULL,
    -- Null where a whole table was emptied.
    entity_id uuid,
    operation text NOT NULL,
    written_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
);

-- Runs with the rights of its owner, because Kong's nodes may use a role that cannot write to the log.
CREATE OR REPLACE FUNCTION silverback_record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    changed uuid;
BEGIN
    -- Held until the transaction is over, so that numbers become visible in their order.
    PERFORM pg_advisory_xact_lock(1936288866, 2);
    IF TG_OP = 'DELETE' THEN
        changed := OLD.id;
    ELSIF TG_OP <> 'TRUNCATE' THEN
        changed := NEW.id;
    END IF;
    INSERT INTO silverback_changes (entity, entity_id, operation)
    VALUES (TG_ARGV[0], changed, lower(TG_OP));
    PERFORM pg_notify('silverback_changes', TG_TABLE_SCHEMA);
    RETURN NULL;
END;
$$;

-- Room in each page for the rows that take the place of renewed ones.
CREATE TABLE IF NOT EXISTS silverback_nodes (
    id uuid PRIMARY KEY,
    hostname text NOT NULL,
    addresses text[] NOT NULL,
    program text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    applied bigint NOT NULL
) WITH (fillfactor = 20);
