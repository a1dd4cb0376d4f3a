"""The tables, once, for SQLite and PostgreSQL.

Times are microseconds since the epoch, UTC. Free-form members are JSON in text columns; a member that
was never set is NULL. Versions and generated ids are UUIDs as text. No table refers to a tenant by
foreign key from the device side: a tenant goes at once, its devices in bounded batches after it
(`purges` remembers which are still to go, `deleted_tenants` that they were there).

Changing a table takes a migration with the same outcome; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite counts up by itself in an INTEGER primary key; positions are never used again as the newest row always stays.
Position = BigInteger().with_variant(Integer, "sqlite")

NOTIFICATION_DUE = text("auto_provisioned AND NOT notification_sent")

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("enabled", Boolean),
    Column("alias", Text),
    Column("trust_anchor_group", Text),
    Column("adapters", Text),
    Column("defaults", Text),
    Column("ext", Text),
    Column("resource_limits", Text),
    Column("registration_limits", Text),
    Column("created", BigInteger),
    Column("updated", BigInteger),
    Column("version", Text, nullable=False),
    Column("minimum_message_size", BigInteger),
    Column("tracing", Text),
    PrimaryKeyConstraint("tenant_id", name="tenants_pk"),
    UniqueConstraint("alias", name="tenants_alias_unique"),
)

trust_anchors = Table(
    "trust_anchors",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("anchor_id", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),  # the tenant's own order
    Column("identity_hex", Text, nullable=False),  # storage.tenancy.anchor_identity
    Column("subject_dn", Text, nullable=False),
    Column("public_key_der", LargeBinary, nullable=False),
    Column("certificate_der", LargeBinary),
    Column("subject_der", LargeBinary),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("may_auto_provision", Boolean, nullable=False),
    Column("provisions_gateways", Boolean, nullable=False),
    Column("device_id_template", Text),
    Column("auth_id_template", Text),
    Column("provisioning_per_s_max", Float),
    Column("revocation", Text),
    Column("device_template", Text),
    PrimaryKeyConstraint("tenant_id", "anchor_id", name="trust_anchors_pk"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="trust_anchors_tenant", ondelete="CASCADE"),
    Index("trust_anchors_by_subject", "subject_dn"),
)

devices = Table(
    "devices",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("enabled", Boolean),
    Column("via", Text),
    Column("via_groups", Text),
    Column("member_of", Text),
    Column("authorities", Text),
    Column("defaults", Text),
    Column("ext", Text),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger),
    Column("auto_provisioned", Boolean, nullable=False),
    Column("notification_sent", Boolean, nullable=False),
    Column("version", Text, nullable=False),
    Column("downstream_mapper", Text),
    Column("upstream_mapper", Text),
    Column("command_endpoint", Text),
    Column("last_user", Text),
    Column("provisioned_gateway", Text),
    Column("credentials_version", Text),  # NULL: one is derived, storage.registration.credentials_version
    PrimaryKeyConstraint("tenant_id", "device_id", name="devices_pk"),
    sqlite_with_rowid=False,
)

# Who may be a gateway: those named in some device's `via`, and members of groups (hono-registry 1.5).
HAS_VIA = text("via IS NOT NULL")
IS_MEMBER = text("member_of IS NOT NULL")
Index("devices_by_via", devices.c.tenant_id, devices.c.via, sqlite_where=HAS_VIA, postgresql_where=HAS_VIA)
Index(
    "devices_by_member_of",
    devices.c.tenant_id,
    devices.c.member_of,
    devices.c.device_id,
    sqlite_where=IS_MEMBER,
    postgresql_where=IS_MEMBER,
)

# The queue of provisioning events: a device is in it from the transaction that provisions it to the one
# that marks it notified, and cannot be there twice or without its record.
Index(
    "devices_notification_due",
    devices.c.created,
    devices.c.tenant_id,
    devices.c.device_id,
    sqlite_where=NOTIFICATION_DUE,
    postgresql_where=NOTIFICATION_DUE,
)

credentials = Table(
    "credentials",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("auth_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("enabled", Boolean),
    Column("comment", Text),
    Column("ext", Text),
    Column("secrets", Text, nullable=False),
    PrimaryKeyConstraint("tenant_id", "type", "auth_id", name="credentials_pk"),
    ForeignKeyConstraint(
        ["tenant_id", "device_id"],
        ["devices.tenant_id", "devices.device_id"],
        name="credentials_device",
        ondelete="CASCADE",
    ),
    Index("credentials_by_device", "tenant_id", "device_id"),
    sqlite_with_rowid=False,
)

# How many devices a tenant has, kept in the transactions that add and remove them.
device_counts = Table(
    "device_counts",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("devices", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", name="device_counts_pk"),
    sqlite_with_rowid=False,
)

# Tenants that are gone while some of their devices are not.
purges = Table(
    "purges",
    metadata,
    Column("tenant_id", Text, nullable=False),
    PrimaryKeyConstraint("tenant_id", name="purges_pk"),
)

# Tenants that are gone, the last so many (storage.registration.DELETED_TENANTS_MAX): what was theirs is gone
# with them, and whoever deletes a device of one is told that it is deleted.
deleted_tenants = Table(
    "deleted_tenants",
    metadata,
    Column("position", Position, nullable=False),
    Column("tenant_id", Text, nullable=False),
    PrimaryKeyConstraint("position", name="deleted_tenants_pk"),
    UniqueConstraint("tenant_id", name="deleted_tenants_unique"),
)

audit = Table(
    "audit",
    metadata,
    Column("position", Position, nullable=False),
    Column("moment", BigInteger, nullable=False),
    Column("what", Text, nullable=False),
    Column("tenant_id", Text),
    Column("device_id", Text),
    Column("code", Text),
    Column("facts", Text),
    Column("actor", Text),
    Column("remote", Text),
    Column("before", Text),
    Column("after", Text),
    PrimaryKeyConstraint("position", name="audit_pk"),
)
# Three rings, each with a bound of its own: what strangers cause, what devices of a tenant cause, what operators do.
REFUSED = text("what = 'device.refused'")
OF_DEVICES = text("what <> 'device.refused' AND actor IS NULL")
OF_OPERATORS = text("actor IS NOT NULL")
Index("audit_refusals", audit.c.position, sqlite_where=REFUSED, postgresql_where=REFUSED)
Index("audit_of_devices", audit.c.position, sqlite_where=OF_DEVICES, postgresql_where=OF_DEVICES)
Index("audit_of_operators", audit.c.position, sqlite_where=OF_OPERATORS, postgresql_where=OF_OPERATORS)

changes = Table(
    "changes",
    metadata,
    Column("seq", Position, nullable=False),
    Column("kind", Text, nullable=False),  # tenant.ports.ChangeKind
    Column("tenant_id", Text),
    Column("anchor_id", Text),
    Column("device_id", Text),
    Column("enabled", Boolean),
    PrimaryKeyConstraint("seq", name="changes_pk"),
)

operators = Table(
    "operators",
    metadata,
    Column("name", Text, nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("tenants", Text),  # NULL: all
    Column("enabled", Boolean, nullable=False),
    Column("password_hash", Text),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger),
    Column("version", Text, nullable=False),
    PrimaryKeyConstraint("name", name="operators_pk"),
)

operator_keys = Table(
    "operator_keys",
    metadata,
    Column("key_id", Text, nullable=False),
    Column("operator_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest_hex", Text, nullable=False),  # SHA-256 of the key, which is random
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("last_used", BigInteger),
    PrimaryKeyConstraint("key_id", name="operator_keys_pk"),
    UniqueConstraint("digest_hex", name="operator_keys_digest_unique"),
    ForeignKeyConstraint(["operator_name"], ["operators.name"], name="operator_keys_operator", ondelete="CASCADE"),
    Index("operator_keys_by_operator", "operator_name"),
)

# How far what the audit rows tell has been told to others: up to that position of theirs.
publications = Table(
    "publications",
    metadata,
    Column("name", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="publications_pk"),
    sqlite_with_rowid=False,
)

# Gateways that run, and when each was last heard of.
processes = Table(
    "processes",
    metadata,
    Column("process_id", Text, nullable=False),
    Column("beat", BigInteger, nullable=False),
    PrimaryKeyConstraint("process_id", name="processes_pk"),
    sqlite_with_rowid=False,
)

# When a device was last heard of and, as far as the process that says so is alive, its newest connection.
presence = Table(
    "presence",
    metadata,
    Column("tenant_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("process_id", Text),
    Column("adapter", Text),
    Column("since", BigInteger),
    Column("last_seen", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "device_id", name="presence_pk"),
    ForeignKeyConstraint(
        ["tenant_id", "device_id"],
        ["devices.tenant_id", "devices.device_id"],
        name="presence_device",
        ondelete="CASCADE",
    ),
    sqlite_with_rowid=False,
)
