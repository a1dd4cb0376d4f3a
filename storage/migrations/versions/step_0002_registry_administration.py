"""Whole documents of tenants and devices, who changed what, tenants that are gone.

Tables that may hold millions of rows only get columns, which costs nothing. Tenants and their anchors are copied,
the anchors first: a tenant that goes takes its anchors along.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

POSITION = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TENANT_COLUMNS = (
    "tenant_id, enabled, alias, trust_anchor_group, adapters, defaults, ext, resource_limits, registration_limits,"
    " created, updated, version"
)
ANCHOR_COLUMNS = (
    "tenant_id, anchor_id, ordinal, identity_hex, subject_dn, public_key_der, certificate_der, subject_der,"
    " not_before, not_after, may_auto_provision, provisions_gateways, device_id_template, auth_id_template,"
    " provisioning_per_s_max"
)


def upgrade() -> None:
    for table in ("trust_anchors", "tenants"):
        op.execute(f"CREATE TABLE {table}_0001 AS SELECT * FROM {table}")
        op.drop_table(table)
    _create_tenants()
    _create_anchors()
    for table, columns in (("tenants", TENANT_COLUMNS), ("trust_anchors", ANCHOR_COLUMNS)):
        op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}_0001")
        op.drop_table(f"{table}_0001")
    _extend_devices()
    _extend_audit()
    op.create_table(
        "deleted_tenants",
        sa.Column("position", POSITION, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("position", name="deleted_tenants_pk"),
        sa.UniqueConstraint("tenant_id", name="deleted_tenants_unique"),
    )


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean),
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
        sa.Column("minimum_message_size", sa.BigInteger),
        sa.Column("tracing", sa.Text),
        sa.PrimaryKeyConstraint("tenant_id", name="tenants_pk"),
        sa.UniqueConstraint("alias", name="tenants_alias_unique"),
    )


def _create_anchors() -> None:
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
        sa.Column("revocation", sa.Text),
        sa.Column("device_template", sa.Text),
        sa.PrimaryKeyConstraint("tenant_id", "anchor_id", name="trust_anchors_pk"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="trust_anchors_tenant", ondelete="CASCADE"),
    )
    op.create_index("trust_anchors_by_subject", "trust_anchors", ["subject_dn"])


def _extend_devices() -> None:
    for name in (
        "downstream_mapper",
        "upstream_mapper",
        "command_endpoint",
        "last_user",
        "provisioned_gateway",
        "credentials_version",
    ):
        op.add_column("devices", sa.Column(name, sa.Text))
    for index, columns, where in (
        ("devices_by_via", ["tenant_id", "via"], sa.text("via IS NOT NULL")),
        ("devices_by_member_of", ["tenant_id", "member_of", "device_id"], sa.text("member_of IS NOT NULL")),
    ):
        op.create_index(index, "devices", columns, sqlite_where=where, postgresql_where=where)


def _extend_audit() -> None:
    for name in ("actor", "remote", "before", "after"):
        op.add_column("audit", sa.Column(name, sa.Text))
    op.drop_index("audit_lasting", "audit")
    for index, where in (
        ("audit_of_devices", sa.text("what <> 'device.refused' AND actor IS NULL")),
        ("audit_of_operators", sa.text("actor IS NOT NULL")),
    ):
        op.create_index(index, "audit", ["position"], sqlite_where=where, postgresql_where=where)
