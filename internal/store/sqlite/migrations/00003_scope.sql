-- +goose Up

-- Who put settings or a bundle there: 'tenant' for the tenant's own people, '' for the configuration, as everything before was.
ALTER TABLE events ADD COLUMN scope TEXT NOT NULL DEFAULT '';
