-- What is expanded need not be kept twice: of a record its digest remains, which tells a record that is sent again
-- from another one under the same key. The bytes stay only where nothing could be made of them.
ALTER TABLE record
    ADD COLUMN digest bytea,  -- the first 16 bytes of the SHA-256 of its bytes
    ALTER COLUMN body DROP NOT NULL;
UPDATE record
SET digest = substring(sha256(body) FOR 16),
    body = CASE WHEN kind = 'undecodable' THEN body END;
ALTER TABLE record
    ALTER COLUMN digest SET NOT NULL,
    ADD CHECK (octet_length(digest) = 16),
    ADD CHECK ((body IS NOT NULL) = (kind = 'undecodable'));
