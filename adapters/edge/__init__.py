"""TLS and DTLS on sockets. Yields peers whose chain is already judged; knows no device, no protocol."""
