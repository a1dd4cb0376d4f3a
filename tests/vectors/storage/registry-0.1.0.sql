BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE audit (
	position INTEGER NOT NULL, 
	moment BIGINT NOT NULL, 
	what TEXT NOT NULL, 
	tenant_id TEXT, 
	device_id TEXT, 
	code TEXT, 
	facts TEXT, 
	CONSTRAINT audit_pk PRIMARY KEY (position)
);
INSERT INTO "audit" VALUES(1,1767225600000000,'device.provisioned','acme','sensor-0',NULL,'{"issuer":"CN=Plant CA","auth_id":"CN=sensor-0","anchor":"plant-ca","serial":"1f","fingerprint":"abababababababababababababababababababababababababababababababab","remote":"192.0.2.7:50000"}');
INSERT INTO "audit" VALUES(2,1767225600000000,'device.provisioned','acme','sensor-1',NULL,'{"issuer":"CN=Plant CA","auth_id":"CN=sensor-1","anchor":"plant-ca","serial":"1f","fingerprint":"abababababababababababababababababababababababababababababababab","remote":"192.0.2.7:50000"}');
INSERT INTO "audit" VALUES(3,1767225600000000,'device.provisioned','acme','sensor-2',NULL,'{"issuer":"CN=Plant CA","auth_id":"CN=sensor-2","anchor":"plant-ca","serial":"1f","fingerprint":"abababababababababababababababababababababababababababababababab","remote":"192.0.2.7:50000"}');
INSERT INTO "audit" VALUES(4,1767225600000000,'device.provisioned','gone','left',NULL,'{"issuer":"CN=Plant CA","auth_id":"CN=left","anchor":"plant-ca","serial":"1f","fingerprint":"abababababababababababababababababababababababababababababababab","remote":"192.0.2.7:50000"}');
INSERT INTO "audit" VALUES(5,1767225600000000,'device.refused','acme',NULL,'untrusted-issuer','{"detail":"x"}');
CREATE TABLE changes (
	seq INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	tenant_id TEXT, 
	anchor_id TEXT, 
	device_id TEXT, 
	enabled BOOLEAN, 
	CONSTRAINT changes_pk PRIMARY KEY (seq)
);
INSERT INTO "changes" VALUES(1,'tenant','acme',NULL,NULL,NULL);
INSERT INTO "changes" VALUES(2,'tenant','off',NULL,NULL,NULL);
INSERT INTO "changes" VALUES(3,'tenant','bare',NULL,NULL,NULL);
INSERT INTO "changes" VALUES(4,'tenant','gone',NULL,NULL,NULL);
INSERT INTO "changes" VALUES(5,'anchor-removed','gone','plant-ca',NULL,NULL);
INSERT INTO "changes" VALUES(6,'tenant-deleted','gone',NULL,NULL,NULL);
CREATE TABLE credentials (
	tenant_id TEXT NOT NULL, 
	type TEXT NOT NULL, 
	auth_id TEXT NOT NULL, 
	device_id TEXT NOT NULL, 
	enabled BOOLEAN, 
	comment TEXT, 
	ext TEXT, 
	secrets TEXT NOT NULL, 
	CONSTRAINT credentials_pk PRIMARY KEY (tenant_id, type, auth_id), 
	CONSTRAINT credentials_device FOREIGN KEY(tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "credentials" VALUES('acme','psk','name','by-hand',NULL,'c','{"client-id":"x"}','[{"id":"s","enabled":false,"not_before":1767225600000000,"not_after":1767312000000000,"comment":"fine"}]');
INSERT INTO "credentials" VALUES('acme','x509-cert','CN=sensor-0','sensor-0',1,'Auto-provisioned at 2026-01-01T00:00:00.000Z',NULL,'[{"id":"23607829-13cd-4148-ab5f-7f3dd9f7062a"}]');
INSERT INTO "credentials" VALUES('acme','x509-cert','CN=sensor-1','sensor-1',1,'Auto-provisioned at 2026-01-01T00:00:00.000Z',NULL,'[{"id":"4e53ec1a-b67e-4cf6-8ab1-58c85912a1d0"}]');
INSERT INTO "credentials" VALUES('acme','x509-cert','CN=sensor-2','sensor-2',1,'Auto-provisioned at 2026-01-01T00:00:00.000Z',NULL,'[{"id":"7b07ae2e-c277-49c5-b6f4-d0f5e80cee60"}]');
INSERT INTO "credentials" VALUES('gone','x509-cert','CN=left','left',1,'Auto-provisioned at 2026-01-01T00:00:00.000Z',NULL,'[{"id":"52761dc6-3af0-4abe-87d1-b2c3de171d64"}]');
CREATE TABLE device_counts (
	tenant_id TEXT NOT NULL, 
	devices BIGINT NOT NULL, 
	CONSTRAINT device_counts_pk PRIMARY KEY (tenant_id)
)
 WITHOUT ROWID

;
INSERT INTO "device_counts" VALUES('acme',4);
INSERT INTO "device_counts" VALUES('bare',0);
INSERT INTO "device_counts" VALUES('off',0);
CREATE TABLE devices (
	tenant_id TEXT NOT NULL, 
	device_id TEXT NOT NULL, 
	enabled BOOLEAN, 
	via TEXT, 
	via_groups TEXT, 
	member_of TEXT, 
	authorities TEXT, 
	defaults TEXT, 
	ext TEXT, 
	created BIGINT NOT NULL, 
	updated BIGINT, 
	auto_provisioned BOOLEAN NOT NULL, 
	notification_sent BOOLEAN NOT NULL, 
	version TEXT NOT NULL, 
	CONSTRAINT devices_pk PRIMARY KEY (tenant_id, device_id)
)
 WITHOUT ROWID

;
INSERT INTO "devices" VALUES('acme','by-hand',0,'["gw-1"]','["north"]','["south"]','["auto-provisioning-enabled"]','{"ttl":5}','{"deep":[{"x":null}]}',1767225600000000,NULL,0,0,'1');
INSERT INTO "devices" VALUES('acme','sensor-0',1,NULL,NULL,NULL,NULL,NULL,'{"comment":"Auto-provisioned at 2026-01-01T00:00:00.000Z"}',1767225600000000,1767225600000000,1,1,'326b6e4c-0ea0-4be0-9291-4fbe4fa583cd');
INSERT INTO "devices" VALUES('acme','sensor-1',1,NULL,NULL,NULL,NULL,NULL,'{"comment":"Auto-provisioned at 2026-01-01T00:00:00.000Z"}',1767225600000000,NULL,1,0,'1c42a8d1-bb0e-4f06-8afc-f818faa2648b');
INSERT INTO "devices" VALUES('acme','sensor-2',1,NULL,NULL,NULL,NULL,NULL,'{"comment":"Auto-provisioned at 2026-01-01T00:00:00.000Z"}',1767225600000000,NULL,1,0,'2153e507-dec2-4e7a-9463-98e5d7cf6cf3');
INSERT INTO "devices" VALUES('gone','left',1,NULL,NULL,NULL,NULL,NULL,'{"comment":"Auto-provisioned at 2026-01-01T00:00:00.000Z"}',1767225600000000,NULL,1,0,'761fb107-87af-4f98-9322-c82e14c1efa3');
CREATE TABLE purges (
	tenant_id TEXT NOT NULL, 
	CONSTRAINT purges_pk PRIMARY KEY (tenant_id)
);
INSERT INTO "purges" VALUES('gone');
CREATE TABLE tenants (
	tenant_id TEXT NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	alias TEXT, 
	trust_anchor_group TEXT, 
	adapters TEXT, 
	defaults TEXT, 
	ext TEXT, 
	resource_limits TEXT, 
	registration_limits TEXT, 
	created BIGINT, 
	updated BIGINT, 
	version TEXT NOT NULL, 
	CONSTRAINT tenants_pk PRIMARY KEY (tenant_id), 
	CONSTRAINT tenants_alias_unique UNIQUE (alias)
);
INSERT INTO "tenants" VALUES('acme',1,'plant','group','[{"type":"hono-mqtt","enabled":true,"authentication_required":true,"ext":{"max-ttd":30}},{"type":"hono-http","enabled":false,"authentication_required":false,"ext":{}}]','{"ttl":30,"nested":{"list":[1,null,true,0.5]}}','{"messaging-type":"kafka"}','{"max_connections":5,"max_ttl_s":0,"max_ttl_telemetry_qos0_s":-1,"max_ttl_telemetry_qos1_s":-1,"max_ttl_command_response_s":-1}','{"max_devices":9,"max_credentials_per_device":-1}',1767225600000000,1767225600000001,'acme-1');
INSERT INTO "tenants" VALUES('off',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'off-1');
INSERT INTO "tenants" VALUES('bare',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'bare-1');
CREATE TABLE trust_anchors (
	tenant_id TEXT NOT NULL, 
	anchor_id TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	identity_hex TEXT NOT NULL, 
	subject_dn TEXT NOT NULL, 
	public_key_der BLOB NOT NULL, 
	certificate_der BLOB, 
	subject_der BLOB, 
	not_before BIGINT NOT NULL, 
	not_after BIGINT NOT NULL, 
	may_auto_provision BOOLEAN NOT NULL, 
	provisions_gateways BOOLEAN NOT NULL, 
	device_id_template TEXT, 
	auth_id_template TEXT, 
	provisioning_per_s_max FLOAT, 
	CONSTRAINT trust_anchors_pk PRIMARY KEY (tenant_id, anchor_id), 
	CONSTRAINT trust_anchors_identity_unique UNIQUE (tenant_id, identity_hex), 
	CONSTRAINT trust_anchors_tenant FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
INSERT INTO "trust_anchors" VALUES('acme','full-ca',0,'fd52812a9f64b80bdc957ff9e7dd29f598bf65560e817f4d1c2ebf915372a800','CN=Plant CA',X'6B6579206F6620434E3D506C616E742043412066756C6C2D6361',X'300063657274',X'3000',1767139200000000,1798761600000000,1,1,'dev-{{subject-cn}}','auth-{{subject-cn}}',2.5);
INSERT INTO "trust_anchors" VALUES('acme','plant-ca',1,'af07b4a1446ae96b7d4be581d61b3e814431d4d4f9b58a8a5424cadfcaf948a9','CN=Plant CA 2',X'6B6579206F6620434E3D506C616E74204341203220706C616E742D6361',NULL,NULL,1767139200000000,1798761600000000,1,0,NULL,NULL,NULL);
INSERT INTO "trust_anchors" VALUES('off','plant-ca',0,'f942e6f03bd0d2e51d20555dc52a405a4c7f807f2f0bab0efc3a686755e960d2','CN=Other',X'6B6579206F6620434E3D4F7468657220706C616E742D6361',NULL,NULL,1767139200000000,1798761600000000,1,0,NULL,NULL,NULL);
CREATE INDEX trust_anchors_by_subject ON trust_anchors (subject_dn);
CREATE INDEX devices_notification_due ON devices (created, tenant_id, device_id) WHERE auto_provisioned AND NOT notification_sent;
CREATE INDEX credentials_by_device ON credentials (tenant_id, device_id);
CREATE INDEX audit_refusals ON audit (position) WHERE what = 'device.refused';
CREATE INDEX audit_lasting ON audit (position) WHERE what <> 'device.refused';
COMMIT;
