"""Settings of the pki room: what is too weak to trust."""

from dataclasses import dataclass

from conf.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class PkiSettings:
    """Each weak algorithm is refused unless its own setting says otherwise."""

    rsa_min_bits: int = setting(2048, "shortest RSA key accepted anywhere in a path", minimum=512, maximum=16_384)
    allow_sha1: bool = setting(False, "whether SHA-1 signatures below the trust anchor are accepted")
    allow_md5: bool = setting(False, "whether MD5 signatures below the trust anchor are accepted")
    allow_explicit_curves: bool = setting(False, "whether elliptic curves given by explicit parameters are accepted")
    subject_max_chars: int = setting(4096, "characters of a subject DN", minimum=64, maximum=65_536)
    certificate_cache_max: int = setting(10_000, "parsed certificates kept, within 64 MiB of memory", minimum=16)
