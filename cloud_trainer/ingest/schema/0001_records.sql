-- What gateways send. `record` holds every record as it came, byte for byte, and alone decides what is
-- new: its key is the exactly-once key. The other tables are expanded from it in the same transaction
-- (hence no foreign keys), and could be made again from it.
-- `gateway_id` stands first in every key, so that the tables can be split by gateway.

-- Instants travel as integer microseconds since 1970; the product is exact below 2^53 (the year 2255).
CREATE FUNCTION instant(us bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN timestamptz 'epoch' + us * interval '1 microsecond';

CREATE FUNCTION instant_us(at timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (extract(epoch FROM at) * 1000000)::bigint;

CREATE TABLE record (
    gateway_id  text        NOT NULL,
    generation  uuid        NOT NULL,  -- of the gateway's store
    sequence    bigint      NOT NULL,  -- rises by one within a generation
    kind        text        NOT NULL,  -- table it is expanded into ('readings': reading), or 'undecodable'
    recorded_at timestamptz,           -- by the gateway's clock; NULL when that stamp is no instant
    received_at timestamptz NOT NULL DEFAULT now(),
    body        bytea       NOT NULL,
    PRIMARY KEY (gateway_id, generation, sequence)
);

-- One series over [period_start, period_start + period_s), of which the ticks first_at..last_at are covered.
-- A gateway restarted within a period sends two rows for it, with different ticks.
CREATE TABLE reading (
    gateway_id   text             NOT NULL,
    meter        text             NOT NULL,
    measurand    text             NOT NULL,
    period_start timestamptz      NOT NULL,
    period_s     double precision NOT NULL,
    first_at     timestamptz      NOT NULL,
    last_at      timestamptz      NOT NULL,
    mean         double precision,           -- SI base unit of the measurand; NULL when count = 0
    minimum      double precision,
    maximum      double precision,
    count        integer          NOT NULL,
    quality      smallint         NOT NULL,  -- 0 good, 1 suspect, 2 missing
    generation   uuid             NOT NULL,
    sequence     bigint           NOT NULL,
    PRIMARY KEY (gateway_id, meter, measurand, period_start, generation, sequence)
);

-- Average power in steps [start_at + i * step_s, ...), watts, by quantile.
CREATE TABLE forecast (
    gateway_id  text               NOT NULL,
    issued_at   timestamptz        NOT NULL,
    recorded_at timestamptz        NOT NULL,  -- when it was on the gateway's disk
    target      text               NOT NULL,
    rung        text               NOT NULL,
    bundle      text,                         -- digest of the bundle's manifest; NULL for a baseline
    start_at    timestamptz        NOT NULL,
    step_s      double precision   NOT NULL,
    p10         double precision[] NOT NULL,
    p50         double precision[] NOT NULL,
    p90         double precision[] NOT NULL,
    generation  uuid               NOT NULL,
    sequence    bigint             NOT NULL,
    PRIMARY KEY (gateway_id, issued_at, generation, sequence)
);

CREATE TABLE anomaly (
    gateway_id    text        NOT NULL,
    occurred_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    kind          text        NOT NULL,
    series        text        NOT NULL,
    since_at      timestamptz NOT NULL,
    observed      double precision,
    expected_low  double precision,
    expected_high double precision,
    sentence      text        NOT NULL,
    generation    uuid        NOT NULL,
    sequence      bigint      NOT NULL,
    PRIMARY KEY (gateway_id, occurred_at, generation, sequence)
);

CREATE TABLE decision (
    gateway_id         text        NOT NULL,
    occurred_at        timestamptz NOT NULL,
    recorded_at        timestamptz NOT NULL,
    verdict            text        NOT NULL,
    sentence           text        NOT NULL,
    rung               text        NOT NULL,
    bundle             text,
    energy_next_day_wh bigint,
    peak_next_day_w    bigint,
    anomalies_active   bigint      NOT NULL,
    generation         uuid        NOT NULL,
    sequence           bigint      NOT NULL,
    PRIMARY KEY (gateway_id, occurred_at, generation, sequence)
);

CREATE TABLE model_report (
    gateway_id  text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    event       text        NOT NULL,
    release     bigint,
    bundle      text,
    reason      text        NOT NULL,
    generation  uuid        NOT NULL,
    sequence    bigint      NOT NULL,
    PRIMARY KEY (gateway_id, occurred_at, generation, sequence)
);

CREATE TABLE status (
    gateway_id  text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    event       text        NOT NULL,
    software    text        NOT NULL,
    detail      text        NOT NULL,
    generation  uuid        NOT NULL,
    sequence    bigint      NOT NULL,
    PRIMARY KEY (gateway_id, occurred_at, generation, sequence)
);
