"""Run by Alembic for each of its commands. ``evolve.py`` gives the connection and says what is compared."""

from typing import Any

import sqlalchemy as sa
from alembic import context

from unierp_assets.warehouse.evolve import VERSION_SCHEMA, complete, context_options


def run(connection: sa.Connection) -> None:
    """Runs the command on this connection, in one transaction."""
    applied = context.config.attributes["applied"]

    def remember(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
        if applied is not None:
            applied.append(step.up_revision_id)

    with connection.begin():
        if VERSION_SCHEMA not in sa.inspect(connection).get_schema_names():
            connection.execute(sa.schema.CreateSchema(VERSION_SCHEMA))
        context.configure(
            connection=connection, process_revision_directives=complete, on_version_apply=remember, **context_options()
        )
        context.run_migrations()


run(context.config.attributes["connection"])
