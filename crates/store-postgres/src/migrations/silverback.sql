-- What this program adds to a database: a log of changed rows, whoever changes them, a register of nodes,
-- and how requests are counted.

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

-- Counts a request in all windows if each has room for it, and tells what they held before. Others see all of it or
-- nothing. A full window is found without a lock, so that refusals cost no write.
CREATE OR REPLACE FUNCTION silverback_take(
    who text, service uuid, route uuid,
    periods text[], starts bigint[], lengths bigint[], limits double precision[],
    OUT granted boolean, OUT used double precision[])
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    windows constant integer := cardinality(periods);
    held double precision;
BEGIN
    granted := true;
    used := '{}';
    FOR i IN 1 .. windows LOOP
        SELECT coalesce(value, 0) INTO held FROM ratelimiting_metrics
        WHERE identifier = who AND period = periods[i] AND period_date = to_timestamp(starts[i])
            AND service_id = service AND route_id = route;
        held := coalesce(held, 0);
        used := used || held;
        granted := granted AND held < limits[i];
    END LOOP;
    IF NOT granted THEN
        RETURN;
    END IF;
    used := '{}';
    FOR i IN 1 .. windows LOOP
        INSERT INTO ratelimiting_metrics AS counted
            (identifier, period, period_date, service_id, route_id, value, ttl)
        VALUES (who, periods[i], to_timestamp(starts[i]), service, route, 1,
            clock_timestamp() + lengths[i] * interval '1 second')
        ON CONFLICT (identifier, period, period_date, service_id, route_id)
        DO UPDATE SET value = coalesce(counted.value, 0) + 1
        RETURNING value - 1 INTO held;
        used := used || held;
        granted := granted AND held < limits[i];
    END LOOP;
    IF NOT granted THEN
        -- Somebody else was faster.
        FOR i IN 1 .. windows LOOP
            UPDATE ratelimiting_metrics SET value = value - 1
            WHERE identifier = who AND period = periods[i]
                AND period_date = to_timestamp(starts[i])
                AND service_id = service AND route_id = route;
        END LOOP;
    END IF;
END;
$$;
