"""The registry of a gateway elsewhere, behind the ports of the domain rooms: the same API, from the other side."""
