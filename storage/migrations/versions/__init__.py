"""One file a step; each keeps the previous release working on the same database."""
