"""The device registry management API of Eclipse Hono: tenants, devices and credentials under /v1."""
