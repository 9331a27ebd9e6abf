"""The steps from an empty database to the tables of ``semel.stores.schema``; ``semel.stores.migrate`` takes them."""
