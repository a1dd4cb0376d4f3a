"""Tenants, trust anchors, devices, credentials, audit, change feed."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

POSITION = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _tenants()
    _devices()
    _credentials()
    _logs()


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("alias", sa.Text),
        sa.Column("trust_anchor_group", sa.Text),
        sa.Column("adapters", sa.Text),
        sa.Column("defaults", sa.Text),
        sa.Column("ext", sa.Text),
        sa.Column("resource_limits", sa.Text),
        sa.Column("registration_limits", sa.Text),
        sa.Column("created", sa.BigInteger),
        sa.Column("updated", sa.BigInteger),
        sa.Column("version", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="tenants_pk"),
        sa.UniqueConstraint("alias", name="tenants_alias_unique"),
    )
    op.create_table(
        "trust_anchors",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("anchor_id", sa.Text, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("identity_hex", sa.Text, nullable=False),
        sa.Column("subject_dn", sa.Text, nullable=False),
        sa.Column("public_key_der", sa.LargeBinary, nullable=False),
        sa.Column("certificate_der", sa.LargeBinary),
        sa.Column("subject_der", sa.LargeBinary),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("may_auto_provision", sa.Boolean, nullable=False),
        sa.Column("provisions_gateways", sa.Boolean, nullable=False),
        sa.Column("device_id_template", sa.Text),
        sa.Column("auth_id_template", sa.Text),
        sa.Column("provisioning_per_s_max", sa.Float),
        sa.PrimaryKeyConstraint("tenant_id", "anchor_id", name="trust_anchors_pk"),
        sa.UniqueConstraint("tenant_id", "identity_hex", name="trust_anchors_identity_unique"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="trust_anchors_tenant", ondelete="CASCADE"),
    )
    op.create_index("trust_anchors_by_subject", "trust_anchors", ["subject_dn"])
    op.create_table(
        "purges",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="purges_pk"),
    )


def _devices() -> None:
    op.create_table(
        "devices",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean),
        sa.Column("via", sa.Text),
        sa.Column("via_groups", sa.Text),
        sa.Column("member_of", sa.Text),
        sa.Column("authorities", sa.Text),
        sa.Column("defaults", sa.Text),
        sa.Column("ext", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger),
        sa.Column("auto_provisioned", sa.Boolean, nullable=False),
        sa.Column("notification_sent", sa.Boolean, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "device_id", name="devices_pk"),
        sqlite_with_rowid=False,
    )
    is_due = sa.text("auto_provisioned AND NOT notification_sent")
    op.create_index(
        "devices_notification_due",
        "devices",
        ["created", "tenant_id", "device_id"],
        sqlite_where=is_due,
        postgresql_where=is_due,
    )
    op.create_table(
        "device_counts",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("devices", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="device_counts_pk"),
        sqlite_with_rowid=False,
    )


def _credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("auth_id", sa.Text, nullable=False),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean),
        sa.Column("comment", sa.Text),
        sa.Column("ext", sa.Text),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "type", "auth_id", name="credentials_pk"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "device_id"],
            ["devices.tenant_id", "devices.device_id"],
            name="credentials_device",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("credentials_by_device", "credentials", ["tenant_id", "device_id"])


def _logs() -> None:
    op.create_table(
        "audit",
        sa.Column("position", POSITION, nullable=False),
        sa.Column("moment", sa.BigInteger, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text),
        sa.Column("device_id", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("facts", sa.Text),
        sa.PrimaryKeyConstraint("position", name="audit_pk"),
    )
    for name, where in (
        ("audit_refusals", sa.text("what = 'device.refused'")),
        ("audit_lasting", sa.text("what <> 'device.refused'")),
    ):
        op.create_index(name, "audit", ["position"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "changes",
        sa.Column("seq", POSITION, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text),
        sa.Column("anchor_id", sa.Text),
        sa.Column("device_id", sa.Text),
        sa.Column("enabled", sa.Boolean),
        sa.PrimaryKeyConstraint("seq", name="changes_pk"),
    )
