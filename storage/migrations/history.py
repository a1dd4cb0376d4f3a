"""The steps a database takes, oldest first. Apart from Alembic, so that a start that takes none need not load it."""

REVISIONS = ("0001", "0002", "0003", "0004")
LATEST = REVISIONS[-1]
