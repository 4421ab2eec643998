-- Who sends: organisations, their sites, the gateways there and their keys. An organisation is the unit of
-- isolation: whoever reads, reads by (organisation, gateway), and `gateway_of` is how a query says so.

CREATE TABLE organisation (
    organisation_id text PRIMARY KEY,
    name            text NOT NULL
);

CREATE TABLE site (
    organisation_id text NOT NULL REFERENCES organisation,
    site_id         text NOT NULL,
    PRIMARY KEY (organisation_id, site_id)
);

CREATE TABLE gateway (
    gateway_id       text        PRIMARY KEY,
    organisation_id  text        NOT NULL,
    site_id          text        NOT NULL,
    status           text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'revoked')),
    nonce_us         bigint      NOT NULL DEFAULT 0,     -- when the last nonce it used was issued: older ones are spent
    instance         text,                               -- the process that was seen last
    instances_before text[]      NOT NULL DEFAULT '{}',  -- the few before it, newest last
    suspect_since    timestamptz,                        -- an earlier one came back: somebody runs a copy
    enrolled_at      timestamptz NOT NULL DEFAULT now(),
    revoked_at       timestamptz,
    seen_at          timestamptz,
    software         text        NOT NULL DEFAULT '',
    hardware         text        NOT NULL DEFAULT '',
    FOREIGN KEY (organisation_id, site_id) REFERENCES site
);
CREATE INDEX gateway_by_site ON gateway (organisation_id, site_id);

CREATE TABLE gateway_key (
    gateway_id  text        NOT NULL REFERENCES gateway ON DELETE CASCADE,
    key_id      text        NOT NULL,
    public_key  bytea       NOT NULL,     -- Ed25519, 32 bytes
    valid_from  timestamptz NOT NULL DEFAULT now(),
    valid_until timestamptz,              -- NULL: until it is revoked
    PRIMARY KEY (gateway_id, key_id)
);

-- A one-time code that lets a key in; the code itself is shown once and not kept.
CREATE TABLE claim (
    claim_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code_digest     bytea       NOT NULL UNIQUE,
    organisation_id text        NOT NULL,
    site_id         text        NOT NULL,
    gateway_id      text,                 -- the only gateway that may use it; NULL: it names itself
    replaces        text,                 -- the gateway whose place it takes
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    used_key_id     text,
    contested_at    timestamptz,          -- it came again with another key: one of the two is not who was meant
    revoked_at      timestamptz,
    FOREIGN KEY (organisation_id, site_id) REFERENCES site
);

-- One life of a gateway's store. Its row is locked before anything of it is stored, so that two senders of
-- the same records take turns. `generation_id` stands for both names where rows are many, and is never used again.
CREATE TABLE generation (
    gateway_id    text        NOT NULL REFERENCES gateway,
    generation    uuid        NOT NULL,
    generation_id integer     GENERATED ALWAYS AS IDENTITY UNIQUE,
    begun_at      timestamptz NOT NULL DEFAULT now(),  -- when we first heard of it
    last_sequence bigint      NOT NULL DEFAULT 0,      -- everything up to here that was meant for us is here
    PRIMARY KEY (gateway_id, generation)
);

-- The gateway, when it belongs to that organisation; else NULL, which equals nothing.
CREATE FUNCTION gateway_of(organisation text, gateway text) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN (SELECT gateway_id FROM gateway
            WHERE gateway_id = gateway_of.gateway AND organisation_id = gateway_of.organisation);

-- Gateways that sent before there were organisations belong to the first one. They have no key yet.
INSERT INTO organisation (organisation_id, name) VALUES ('default', 'default');
INSERT INTO site (organisation_id, site_id) VALUES ('default', 'default');
INSERT INTO gateway (gateway_id, organisation_id, site_id, enrolled_at, seen_at)
SELECT gateway_id, 'default', 'default', min(received_at), max(received_at) FROM record GROUP BY gateway_id;
INSERT INTO generation (gateway_id, generation, begun_at, last_sequence)
SELECT gateway_id, generation, min(received_at), max(sequence) FROM record GROUP BY gateway_id, generation;
