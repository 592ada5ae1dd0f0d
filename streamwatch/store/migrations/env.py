"""What Alembic runs: the scripts of `versions/`, in the transaction that `migrate.upgrade` opened."""

from __future__ import annotations

from alembic import context

from streamwatch.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,  # also gives the scripts the naming convention of constraints
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
