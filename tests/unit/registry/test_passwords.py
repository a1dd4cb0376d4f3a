"""Password hashes: made, judged and verified as in hono-registry 2.3.2."""

from base64 import b64encode
from hashlib import sha256, sha512

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conf.registry import RegistrySettings
from registry.passwords import ARGON2_MEMORY_MAX_KIB, PASSWORD_MAX_BYTES, HashRefused, HashRules, verifies

QUICK = HashRules(bcrypt_cost_max=4)
ARGON2 = HashRules(plain_with="argon2id")
BODY = "N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"  # salt and digest of a bcrypt hash
SALTY = "$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"


def base64(octets: bytes) -> str:
    return b64encode(octets).decode()


def test_a_plain_password_becomes_a_bcrypt_hash_that_hono_reads() -> None:
    material = HashRules(bcrypt_cost_max=5).hash("hono-secret")
    assert material["hash-function"] == "bcrypt"
    assert material["pwd-hash"].startswith("$2a$05$")
    assert verifies(material, b"hono-secret")
    assert not verifies(material, b"hono-secre")


def test_a_plain_password_becomes_an_argon2id_hash_where_set() -> None:
    material = ARGON2.hash("x" * 100)
    assert material["hash-function"] == "argon2id"
    assert material["pwd-hash"].startswith("$argon2id$")
    ARGON2.check(material)
    assert verifies(material, b"x" * 100)
    assert not verifies(material, b"x" * 99)


@pytest.mark.parametrize(
    ("rules", "password", "rule"),
    [
        (QUICK, "", "at least one character"),
        (QUICK, "x" * 73, "at most 72"),
        (QUICK, "é" * 37, "74 bytes of UTF-8"),
        (ARGON2, "x" * (PASSWORD_MAX_BYTES + 1), "at most 1024"),
    ],
)
def test_a_password_that_would_not_count_in_full_is_refused(rules: HashRules, password: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        rules.hash(password)


def test_the_longest_password_counts_to_its_last_byte() -> None:
    material = QUICK.hash("x" * 71 + "y")
    assert verifies(material, b"x" * 71 + b"y")
    assert not verifies(material, b"x" * 72)


@pytest.mark.parametrize(("name", "function"), [("sha-256", sha256), ("sha-512", sha512)])
@pytest.mark.parametrize("salt", [b"", b"\x00salt"])
def test_digests_are_of_salt_and_password(name: str, function: type, salt: bytes) -> None:
    material = {"hash-function": name, "pwd-hash": base64(function(salt + "pässword".encode()).digest())}
    if salt:
        material["salt"] = base64(salt)
    QUICK.check(material)
    assert verifies(material, "pässword".encode())
    assert not verifies(material, b"password")
    if name == "sha-256":
        assert verifies(
            {member: value for member, value in material.items() if member != "hash-function"}, "pässword".encode()
        )


@pytest.mark.parametrize(
    ("material", "member"),
    [
        ({"pwd-hash": "AAAA"}, "hash-function"),
        ({"hash-function": "sha-256"}, "pwd-hash"),
        ({"salt": "AAAA"}, "hash-function"),
        ({"hash-function": "md5", "pwd-hash": "AAAA"}, "hash-function"),
        ({"hash-function": "sha-512", "pwd-hash": "no base64"}, "pwd-hash"),
        ({"hash-function": "sha-256", "pwd-hash": "A" * 600}, "pwd-hash"),
        ({"hash-function": "sha-256", "pwd-hash": "AAAA", "salt": "A" * 2000}, "salt"),
        ({"hash-function": "bcrypt", "pwd-hash": f"$2a$11${BODY}"}, "pwd-hash"),
        ({"hash-function": "bcrypt", "pwd-hash": f"$2a$03${BODY}"}, "pwd-hash"),
        ({"hash-function": "bcrypt", "pwd-hash": f"$2b$10${BODY}"}, "pwd-hash"),
        ({"hash-function": "bcrypt", "pwd-hash": f"$2y$10${BODY}"}, "pwd-hash"),
        ({"hash-function": "bcrypt", "pwd-hash": f"$2a$10${BODY}."}, "pwd-hash"),
        ({"hash-function": "bcrypt", "pwd-hash": f"$2a$10${BODY}\n"}, "pwd-hash"),
        ({"hash-function": "bcrypt", "pwd-hash": f"$2a$10${BODY[:-1]}"}, "pwd-hash"),
        ({"hash-function": "bcrypt", "pwd-hash": f"$2a$1٠${BODY}"}, "pwd-hash"),
        ({"hash-function": "argon2id", "pwd-hash": "hash"}, "pwd-hash"),
        ({"hash-function": "argon2id", "pwd-hash": f"$argon2i$v=19$m=8,t=1,p=1{SALTY}"}, "pwd-hash"),
        (
            {"hash-function": "argon2id", "pwd-hash": f"$argon2id$v=19$m={ARGON2_MEMORY_MAX_KIB + 1},t=1,p=1{SALTY}"},
            "pwd-hash",
        ),
        ({"hash-function": "argon2id", "pwd-hash": f"$argon2id$v=19$m=8,t=99,p=1{SALTY}"}, "pwd-hash"),
        ({"hash-function": "argon2id", "pwd-hash": f"$argon2id$v=19$m=8,t=1,p=0{SALTY}"}, "pwd-hash"),
    ],
)
def test_a_hash_that_breaks_a_rule_is_refused_by_its_member(material: dict[str, str], member: str) -> None:
    with pytest.raises(HashRefused) as refused:
        HashRules.of(RegistrySettings()).check(material)
    assert refused.value.member == member


def test_a_hash_of_the_highest_cost_is_taken() -> None:
    HashRules(bcrypt_cost_max=10).check({"hash-function": "bcrypt", "pwd-hash": f"$2a$10${BODY}"})


def test_the_settings_say_what_is_allowed() -> None:
    assert HashRules.of(RegistrySettings(hash_functions=" bcrypt, sha-512,")).allowed == {"bcrypt", "sha-512"}
    HashRules.of(RegistrySettings(hash_functions="")).check({"hash-function": "md5", "pwd-hash": "anything"})


def test_a_hash_of_a_longer_password_made_elsewhere_is_verified_as_it_was_made() -> None:
    made = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4, prefix=b"2a")).decode()
    assert verifies({"hash-function": "bcrypt", "pwd-hash": made}, b"x" * 80)


TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from([f"$2a$04${BODY}", f"$2a$04${'/' * 53}", "$2a$04$", f"$argon2id$v=19$m=1,t=1,p=8{SALTY}", "é", ""]),
)


@settings(deadline=None)
@given(
    function=st.one_of(st.none(), st.sampled_from(["bcrypt", "sha-256", "sha-512", "argon2id", "md5"])),
    hashed=st.one_of(st.none(), TEXTS),
    salt=st.one_of(st.none(), TEXTS),
    password=st.binary(max_size=100),
)
def test_verifying_never_raises_and_finds_nothing_in_nonsense(
    function: str | None, hashed: str | None, salt: str | None, password: bytes
) -> None:
    given = {"hash-function": function, "pwd-hash": hashed, "salt": salt}
    assert not verifies({name: value for name, value in given.items() if value is not None}, password)
