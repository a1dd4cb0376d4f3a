"""One file an engine; each implements the ports of messaging."""
