"""Who devices belong to: tenants, the CAs they trust, their limits."""
