-- Every reading of some series over a while, packed as the gateway sent it: `raw.unpack_raw` of its record.
CREATE TABLE raw_window (
    gateway_id  text        NOT NULL,
    start_at    timestamptz NOT NULL,  -- first tick
    end_at      timestamptz NOT NULL,  -- last tick
    recorded_at timestamptz NOT NULL,
    reason      text        NOT NULL,
    series      integer     NOT NULL,  -- how many
    ticks       integer     NOT NULL,
    body        bytea       NOT NULL,
    generation  uuid        NOT NULL,
    sequence    bigint      NOT NULL,
    PRIMARY KEY (gateway_id, start_at, generation, sequence)
);
