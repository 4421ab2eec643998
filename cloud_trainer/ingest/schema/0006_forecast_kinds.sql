-- Two forecasters: how much energy over the next day, and how much power in the next hour.
ALTER TABLE forecast
    ADD COLUMN kind text               NOT NULL DEFAULT 'energy_forecast',
    ADD COLUMN p95  double precision[],            -- of a load prediction
    ADD COLUMN peak double precision[];            -- the highest step: its 10, 50, 90 and 95 %
