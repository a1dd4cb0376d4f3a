"""HTTP/1.1 requests as a pure function of bytes, with limits."""
