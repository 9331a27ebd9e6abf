"""Run by Alembic, inside the transaction and under the lock that ``semel.stores.migrate`` has taken."""

from alembic import context

from semel.stores.schema import version_table

schema = context.config.attributes["schema"]
context.configure(
    connection=context.config.attributes["connection"],
    version_table=version_table(schema),
    version_table_schema=schema,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
