-- +goose Up

-- From here on the document of an entry may be packed: see packed.go. Rows of before stay as they are; a release of before, which would take what is packed for the document, refuses this schema.
SELECT 1;
