-- Readings, compact: what is the same for all series of a block stands once in `block`, names are numbers, and
-- the rows lie in one partition a month. The view `reading` shows them with their names.
-- `generation_id` stands for (gateway_id, generation): it comes first in the keys of what only the gateway's
-- own numbers can name.

CREATE TABLE series (
    series_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id text    NOT NULL REFERENCES gateway,
    meter      text    NOT NULL,
    measurand  text    NOT NULL,
    UNIQUE (gateway_id, meter, measurand)
);

-- The recording period [period_start, period_start + period_s), of which the ticks first_at..last_at are covered.
-- A gateway restarted within a period sends two blocks for it, with different ticks.
CREATE TABLE block (
    generation_id integer          NOT NULL,
    sequence      bigint           NOT NULL,
    period_start  timestamptz      NOT NULL,
    period_s      double precision NOT NULL,
    first_at      timestamptz      NOT NULL,
    last_at       timestamptz      NOT NULL,
    PRIMARY KEY (generation_id, sequence)
);

-- One series over one block. The record's key has decided that it is new, so this table needs no key of its
-- own: one entry of the index serves all series of a block.
CREATE TABLE reading_row (
    sequence      bigint           NOT NULL,
    period_start  timestamptz      NOT NULL,
    mean          double precision,           -- SI base unit of the measurand; NULL when count = 0
    minimum       double precision,
    maximum       double precision,
    generation_id integer          NOT NULL,
    series_id     integer          NOT NULL,
    count         integer          NOT NULL,
    quality       smallint         NOT NULL   -- 0 good, 1 suspect, 2 missing
) PARTITION BY RANGE (period_start);
CREATE INDEX reading_row_by_time ON reading_row (generation_id, period_start);
-- For instants that no clock of ours should show; `create_month` moves them when their month comes after all.
CREATE TABLE reading_row_default PARTITION OF reading_row DEFAULT;

-- What training reads: a series over 15 minutes, made of the rows of `reading_row` as they come, in the same
-- transaction. Rows that hold nothing but suspect values are left out, as they are on the gateway.
CREATE TABLE rollup_15min (
    gateway_id text             NOT NULL,
    series_id  integer          NOT NULL,
    step_start timestamptz      NOT NULL,
    total      double precision NOT NULL,  -- sum of all values that count; the mean is total / count
    minimum    double precision NOT NULL,
    maximum    double precision NOT NULL,
    count      bigint           NOT NULL,
    covered_s  double precision NOT NULL,  -- seconds for which there are values
    PRIMARY KEY (gateway_id, series_id, step_start)
) PARTITION BY RANGE (step_start);
CREATE TABLE rollup_15min_default PARTITION OF rollup_15min DEFAULT;

-- Make the partitions of the month that holds `at`; false when they are there, or out of bounds.
-- Attaching, unlike creating in place, lets others write meanwhile.
CREATE FUNCTION create_month(at timestamptz) RETURNS boolean
    LANGUAGE plpgsql AS $$
DECLARE
    low  CONSTANT timestamptz := date_trunc('month', at, 'UTC');
    high CONSTANT timestamptz := (low AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    suffix CONSTANT text := to_char(low AT TIME ZONE 'UTC', '_YYYY_MM');
    parent text;
    stamp  text;
BEGIN
    -- No gateway of ours is older. Some months ahead is enough; the rest is a clock that runs ahead.
    IF low < '2010-01-01 00:00+00' OR low > now() + interval '3 months' OR to_regclass('reading_row' || suffix) IS NOT NULL
    THEN
        RETURN false;
    END IF;
    -- One at a time. A lock on the table, for one of no table would not show us what others made before us.
    LOCK TABLE ONLY reading_row IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('reading_row' || suffix) IS NOT NULL THEN
        RETURN false;  -- somebody else was faster
    END IF;
    FOR parent, stamp IN VALUES ('reading_row', 'period_start'), ('rollup_15min', 'step_start') LOOP
        EXECUTE format('LOCK TABLE %I', parent || '_default');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING INDEXES)', parent || suffix, parent);
        EXECUTE format(
            'WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
            parent || '_default', stamp, low, stamp, high, parent || suffix
        );
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, parent || suffix, low, high
        );
    END LOOP;
    -- A step's row is written a few times while it fills: room beside it keeps the index out of that.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 60)', 'rollup_15min' || suffix);
    RETURN true;
END
$$;

-- The months of these instants, and always this month and the next three.
CREATE FUNCTION create_months(wanted timestamptz[]) RETURNS integer
    LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE create_month(month AT TIME ZONE 'UTC'))::integer
    FROM (SELECT date_trunc('month', at AT TIME ZONE 'UTC') AS month FROM unnest(wanted) AS at
          UNION
          SELECT date_trunc('month', now() AT TIME ZONE 'UTC') + ahead * interval '1 month'
          FROM generate_series(0, 3) AS ahead
          ORDER BY month) AS months
$$;

-- The readings of schema 1 move over.
INSERT INTO series (gateway_id, meter, measurand)
SELECT DISTINCT gateway_id, meter, measurand FROM reading ORDER BY 1, 2, 3;

INSERT INTO block
SELECT DISTINCT ON (generation_id, sequence) generation_id, sequence, period_start, period_s, first_at, last_at
FROM reading JOIN generation USING (gateway_id, generation);

SELECT create_months(array_agg(DISTINCT date_trunc('month', period_start, 'UTC'))) FROM block;

INSERT INTO reading_row
SELECT sequence, period_start, mean, minimum, maximum, generation_id, series_id, count, quality
FROM reading JOIN generation USING (gateway_id, generation) JOIN series USING (gateway_id, meter, measurand);

DROP TABLE reading;

-- By the rule of rollup.py, which says why.
WITH tick AS (
    SELECT generation_id, sequence, period_s,
           least(extract(epoch FROM period_start - last_at)::double precision + period_s,
                 nullif(extract(epoch FROM last_at - first_at)::double precision, 0) / nullif(max(count) - 1, 0)) AS tick_s
    FROM reading_row JOIN block USING (generation_id, sequence, period_start)
    GROUP BY generation_id, sequence, period_s, period_start, first_at, last_at
)
INSERT INTO rollup_15min
SELECT gateway_id, series_id, date_bin('15 minutes', period_start, 'epoch'),
       sum(mean * count), min(minimum), max(maximum), sum(count), sum(least(count * tick_s, period_s))
FROM reading_row JOIN generation USING (generation_id) JOIN tick USING (generation_id, sequence)
WHERE count > 0 AND (quality = 0 OR count < floor(period_s / tick_s))
GROUP BY 1, 2, 3;

-- `period_start` is the same in a block and in its rows: joined by it too, the index finds those of one block.
CREATE VIEW reading AS
SELECT generation.gateway_id, meter, measurand, period_start, period_s, first_at, last_at, mean, minimum, maximum,
       count, quality, generation, sequence
FROM reading_row
JOIN generation USING (generation_id)
JOIN series USING (series_id)
JOIN block USING (generation_id, sequence, period_start);

CREATE VIEW reading_15min AS
SELECT rollup_15min.gateway_id, meter, measurand, step_start, total / count AS mean, minimum, maximum, count, covered_s
FROM rollup_15min JOIN series USING (series_id);
