-- Versions. `last_version` grows with every registration and never shrinks, so no number is used twice.
CREATE TABLE model (
    name         TEXT    NOT NULL PRIMARY KEY,
    last_version INTEGER NOT NULL CHECK (last_version BETWEEN 1 AND 4294967295)
) STRICT, WITHOUT ROWID;

CREATE TABLE version (
    model           TEXT    NOT NULL REFERENCES model (name),
    version         INTEGER NOT NULL CHECK (version BETWEEN 1 AND 4294967295),
    digest          BLOB    NOT NULL CHECK (length(digest) = 32), -- SHA-256 of the manifest of the bundle
    actor           TEXT    NOT NULL,
    created         INTEGER NOT NULL,                             -- UTC microseconds since the Unix epoch, as all times
    run             TEXT,                                         -- 32 hexadecimal digits; the run may live elsewhere
    description     TEXT    NOT NULL,
    tags            TEXT    NOT NULL CHECK (json_valid(tags)),    -- an object of strings
    idempotency_key TEXT,
    PRIMARY KEY (model, version)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX version_by_idempotency_key ON version (model, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TRIGGER version_is_never_changed BEFORE UPDATE ON version
BEGIN SELECT RAISE(ABORT, 'a version is never changed'); END;
CREATE TRIGGER version_is_never_removed BEFORE DELETE ON version
BEGIN SELECT RAISE(ABORT, 'a version is never removed'); END;

-- Aliases. `alias_change` is the history, `alias` what is set now; both are written in one transaction.
CREATE TABLE alias_change (
    id           INTEGER NOT NULL PRIMARY KEY,                    -- the order of the moves
    model        TEXT    NOT NULL REFERENCES model (name),
    alias        TEXT    NOT NULL,
    from_version INTEGER,                                         -- NULL: was not set
    to_version   INTEGER,                                         -- NULL: was removed
    moved        INTEGER NOT NULL,
    actor        TEXT    NOT NULL,
    verdict      TEXT    CHECK (json_valid(verdict)),             -- what a gate said
    FOREIGN KEY (model, from_version) REFERENCES version (model, version),
    FOREIGN KEY (model, to_version) REFERENCES version (model, version)
) STRICT;

CREATE INDEX alias_change_by_alias ON alias_change (model, alias, id);

CREATE TRIGGER alias_change_is_never_changed BEFORE UPDATE ON alias_change
BEGIN SELECT RAISE(ABORT, 'the history of an alias is never changed'); END;
CREATE TRIGGER alias_change_is_never_removed BEFORE DELETE ON alias_change
BEGIN SELECT RAISE(ABORT, 'the history of an alias is never removed'); END;

CREATE TABLE alias (
    model   TEXT    NOT NULL,
    alias   TEXT    NOT NULL,
    version INTEGER NOT NULL,
    change  INTEGER NOT NULL REFERENCES alias_change (id),        -- the last move
    PRIMARY KEY (model, alias),
    FOREIGN KEY (model, version) REFERENCES version (model, version)
) STRICT, WITHOUT ROWID;

-- Runs.
CREATE TABLE run (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    experiment TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    started    INTEGER NOT NULL,
    outcome    TEXT    CHECK (outcome IN ('finished', 'failed', 'killed')),
    ended      INTEGER CHECK ((ended IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX run_by_experiment ON run (experiment, started, id);

CREATE TABLE run_param (
    run   TEXT NOT NULL REFERENCES run (id),
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_tag (
    run   TEXT NOT NULL REFERENCES run (id),
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

-- `value` holds the bits of a double, all but the sign inverted where it is negative: every number is kept, NaN too,
-- and the order of the integers is the total order of IEEE 754.
CREATE TABLE metric (
    run      TEXT    NOT NULL REFERENCES run (id),
    name     TEXT    NOT NULL,
    step     INTEGER NOT NULL CHECK (step >= 0),
    measured INTEGER NOT NULL,
    value    INTEGER NOT NULL,
    PRIMARY KEY (run, name, step, measured, value)
) STRICT, WITHOUT ROWID;

-- The greatest row of `metric` for each run and name, written in the same transaction.
CREATE TABLE latest_metric (
    run      TEXT    NOT NULL REFERENCES run (id),
    name     TEXT    NOT NULL,
    step     INTEGER NOT NULL,
    measured INTEGER NOT NULL,
    value    INTEGER NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
