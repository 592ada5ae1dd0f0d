"""Changes of the schema, one file a change, in `versions/`; `migrate.upgrade` applies them."""
