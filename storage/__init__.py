"""The database: the only room with SQL. Fills the ports that the domain rooms declare."""
