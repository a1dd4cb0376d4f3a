"""Administration and search: the cold path, in SQLAlchemy Core."""
