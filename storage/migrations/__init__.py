"""Alembic revisions of storage.schema."""
