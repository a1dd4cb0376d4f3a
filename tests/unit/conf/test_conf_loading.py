"""Configuration from text and environment: what is taken, what is a fault, and in which words."""

from pathlib import Path

import pytest

from conf.errors import FAULTS_MAX, ConfigurationInvalid
from conf.loading import FILE_MAX_BYTES, settings_from
from conf.sections import Settings


class DiskWithFaults:
    """A disk on which every path is at fault."""

    def fault_of_file(self, _: Path) -> str | None:
        return "does not exist"

    def fault_of_directory(self, _: Path) -> str | None:
        return "is not a directory"


def faults_of(content: str | bytes, environment: dict[str, str] | None = None) -> list[str]:
    text = content.encode() if isinstance(content, str) else content
    with pytest.raises(ConfigurationInvalid) as caught:
        settings_from(text, environment or {})
    return [str(fault) for fault in caught.value.faults]


def test_nothing_said_gives_the_defaults() -> None:
    assert settings_from(b"", {}) == Settings(data_dir=Path("data"))


def test_a_file_sets_what_it_names_and_nothing_else() -> None:
    settings = settings_from(b'[mqtt]\nport = 1\n[edge]\nhandshake_deadline_s = 3\n[log]\nlevel = "debug"', {})
    assert (settings.mqtt.port, settings.edge.handshake_deadline_s, settings.log.level) == (1, 3.0, "debug")
    assert isinstance(settings.edge.handshake_deadline_s, float)
    assert settings.http == Settings(data_dir=Path("data")).http


def test_the_environment_overrides_the_file() -> None:
    settings = settings_from(b"[mqtt]\nport = 1\ninsecure_port = 2", {"TUHONO_MQTT__PORT": "3"})
    assert (settings.mqtt.port, settings.mqtt.insecure_port) == (3, 2)


@pytest.mark.parametrize(
    ("name", "text", "section", "key", "value"),
    [
        ("TUHONO_MQTT__ENABLED", "false", "mqtt", "enabled", False),
        ("TUHONO_MQTT__ENABLED", "true", "mqtt", "enabled", True),
        ("TUHONO_HTTP__IDLE_S", "1.5", "http", "idle_s", 1.5),
        ("TUHONO_COAP__INSECURE_PORT", "", "coap", "insecure_port", None),
        ("TUHONO_EDGE__KEY_FILE", "", "edge", "key_file", None),
        ("TUHONO_LOG__LEVEL", "error", "log", "level", "error"),
    ],
)
def test_a_variable_is_read_by_the_type_of_its_field(
    name: str, text: str, section: str, key: str, value: object
) -> None:
    settings = settings_from(b"[coap]\ninsecure_port = 9", {name: text})
    assert getattr(getattr(settings, section), key) == value


def test_data_dir_is_the_command_lines_then_the_environments_then_the_files() -> None:
    content, environment = b'data_dir = "file"', {"TUHONO_DATA_DIR": "variable"}
    assert settings_from(content, environment, data_dir=Path("line")).data_dir == Path("line")
    assert settings_from(content, environment).data_dir == Path("variable")
    assert settings_from(content, {"TUHONO_DATA_DIR": ""}).data_dir == Path("file")


def test_every_fault_is_told_at_once_with_key_and_rule() -> None:
    content = """
        mqt = 1
        [mqtt]
        port = 70000
        prot = 1
        [http]
        idle_s = 0
        [coap]
        enabled = "yes"
        [edge]
        tls_version_min = "1.1"
        [registry]
        device_id_pattern = "(("
    """
    assert faults_of(content, {"TUHONO_HTTP__PORT": "", "TUHONO_MQTT__PROT": "1"}) == [
        "mqt: unknown section or key; did you mean mqtt?",
        "mqtt.port: 70000 is not between 0 and 65535 — port for MQTT over TLS; 0 takes a free one",
        "mqtt.prot: unknown key; did you mean port?",
        "http.idle_s: 0.0 is less than 1 — seconds a connection may stay without a request",
        "coap.enabled: 'yes' is not true or false — whether the adapter listens at all",
        "edge.tls_version_min: '1.1' is not 1.2 or 1.3 — oldest TLS version accepted over TCP",
        "registry.device_id_pattern: '((' is no regular expression (missing ), unterminated subpattern at position 1)"
        " — regular expression a device id must match in full",
        "http.port (TUHONO_HTTP__PORT): '' is not an integer — port for HTTP over TLS; 0 takes a free one",
        "TUHONO_MQTT__PROT: unknown variable; did you mean TUHONO_MQTT__PORT?",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[mqtt]\nport = = 1", "configuration: is not TOML: Invalid value (at line 2, column 8)"),
        ("[mqtt]\nport = 1\nport = 2\n", "configuration: is not TOML: Cannot overwrite a value (at line 3, column 9)"),
        (b"[mqtt]\n# \xff", "configuration: is not TOML: byte 0xff at line 2 is not UTF-8"),
        ("x = " + "[" * 50_000, "configuration: is not TOML: nested too deeply"),
        (b"#" * (FILE_MAX_BYTES + 1), f"configuration: is longer than {FILE_MAX_BYTES} bytes"),
    ],
    ids=["syntax", "duplicate", "encoding", "depth", "length"],
)
def test_what_is_not_toml_is_one_fault_with_its_place(content: str | bytes, says: str) -> None:
    assert faults_of(content) == [says]


def test_faults_of_the_environment_are_told_beside_a_broken_file() -> None:
    assert len(faults_of("[[[", {"TUHONO_MQTT__PORT": "x"})) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("mqtt = 1", "mqtt: is a section: write [mqtt] above its keys"),
        ("[mqtt]\nport = true", "mqtt.port: true is not an integer"),
        ("[mqtt]\nport = 1.0", "mqtt.port: 1.0 is not an integer"),
        ("[mqtt]\nenabled = 1", "mqtt.enabled: 1 is not true or false"),
        ("[mqtt]\nhost = ['a']", "mqtt.host: an array is not a string"),
        ("[mqtt]\nhost = {a = 1}", "mqtt.host: a table is not a string"),
        ("[mqtt]\nhost = 2026-01-01", "mqtt.host: a date or time is not a string"),
        ("[mqtt]\nhost = ''", "mqtt.host: '' is no address"),
        ('[http]\nrealm = "a\\r\\nb"', "http.realm: 'a\\r\\nb' holds a control character"),
        ("[http]\nidle_s = nan", "http.idle_s: nan is not finite"),
        ("[http]\nidle_s = 0x1" + "0" * 300, "http.idle_s: inf is not finite"),
        ("[mqtt]\nport = 0x1" + "0" * 5000, "mqtt.port: an enormous integer is not between 0 and 65535"),
        ("[edge]\nkey_file = 3\ncertificate_file = 'x'", "edge.key_file: 3 is not a path in a string"),
        ('[edge]\nkey_file = "\\u0000"\ncertificate_file = "x"', "edge.key_file: '\\x00' is no path"),
        ("[http]\nrealm = '" + "x" * 5000 + "'", "http.realm: 'xxx"),
        ("[edge]\nkey_file = '" + "x" * 5000 + "'\ncertificate_file = 'c'", "edge.key_file: 'xxx"),
        ("[tenant]\nid_pattern = ''", "tenant.id_pattern: '' matches nothing"),
        (
            "[tenant]\nid_pattern = 'a{99999999999999999999}'",
            "tenant.id_pattern: 'a{99999999999999999999}' is no regular",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_fault(content: str, says: str) -> None:
    (fault,) = faults_of(content)
    assert fault.startswith(says)
    assert len(fault) < 300


@pytest.mark.parametrize("text", ["yes", "True", "1", ""])
def test_only_true_and_false_are_truth_values_in_the_environment(text: str) -> None:
    assert faults_of("", {"TUHONO_MQTT__ENABLED": text})[0].startswith("mqtt.enabled (TUHONO_MQTT__ENABLED): ")


@pytest.mark.parametrize("text", ["1.0", "0x10", "٣", "1" * 5000])
def test_a_number_in_the_environment_is_spelled_in_plain_digits(text: str) -> None:
    assert len(faults_of("", {"TUHONO_MQTT__PORT": text})) == 1


def test_variables_without_two_underscores_belong_to_others() -> None:
    environment = {"TUHONO_MQTT_PORT": "tcp://10.0.0.1:8883", "TUHONO_REQUIRE_ALL": "1", "tuhono_mqtt__port": "x"}
    assert settings_from(b"", environment) == settings_from(b"", {})


def test_a_variable_in_the_wrong_case_is_a_fault_that_names_the_right_one() -> None:
    assert faults_of("", {"TUHONO_mqtt__port": "1"}) == [
        "TUHONO_mqtt__port: unknown variable; did you mean TUHONO_MQTT__PORT?"
    ]


def test_faults_print_nothing_that_a_terminal_obeys() -> None:
    hostile = '"\\u001b[31m\\u202e" = 1\n[mqtt]\nhost = "\\u001b[2J"\n"a\\nb" = 1'
    text = "\n".join(faults_of(hostile, {"TUHONO_A__\x1b[2J": "x", "TUHONO_LOG__LEVEL": "\udcff\x1b"}))
    assert all(line.isprintable() for line in text.splitlines())
    text.encode()


def test_faults_beyond_the_bound_are_counted() -> None:
    faults = faults_of("\n".join(f"k{number} = 1" for number in range(FAULTS_MAX + 7)))
    assert len(faults) == FAULTS_MAX + 1
    assert faults[-1] == "…: 7 more faults are not listed"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[mqtt]\nport = 9\ninsecure_port = 9", "mqtt.insecure_port: 9 (TCP) is taken by mqtt.port on 0.0.0.0"),
        ("[coap]\nport = 9\ninsecure_port = 9", "coap.insecure_port: 9 (UDP) is taken by coap.port on 0.0.0.0"),
        ("[mqtt]\nport = 8443", "http.port: 8443 (TCP) is taken by mqtt.port on 0.0.0.0"),
        ("[management]\nport = 8883", "management.port: 8883 (TCP) is taken by mqtt.port on 0.0.0.0"),
        (
            '[mqtt]\nhost = "127.0.0.1"\n[management]\nport = 8883',
            "management.port: 8883 (TCP) is taken by mqtt.port on 127.0.0.1",
        ),
        (
            "[edge]\nkey_file = 'k'",
            "edge.certificate_file: is not set, though edge.key_file is: the two belong together",
        ),
        (
            "[management]\ncertificate_file = 'c'",
            "management.key_file: is not set, though management.certificate_file is: the two belong together",
        ),
        (
            "[management]\ncors_allowed_origin = 'a b'",
            "management.cors_allowed_origin: 'a b' is neither * nor like https://console.example",
        ),
        (
            "[management]\ninsecure_api = true",
            "management.insecure_api: is set, though management.insecure_port is not: there is no such port",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_a_fault(content: str, says: str) -> None:
    assert faults_of(content) == [says]


@pytest.mark.parametrize(
    "content",
    [
        "[mqtt]\nport = 0\ninsecure_port = 0\n[http]\nport = 0",
        "[mqtt]\nport = 5684",
        "[mqtt]\nport = 8443\n[http]\nenabled = false",
        '[mqtt]\nhost = "127.0.0.2"\n[management]\nport = 8883',
    ],
)
def test_ports_that_do_not_collide_are_fine(content: str) -> None:
    settings_from(content.encode(), {})


def test_a_rule_between_settings_is_silent_where_one_of_them_is_at_fault() -> None:
    assert len(faults_of("[mqtt]\nport = 'x'\ninsecure_port = 8883")) == 1
    assert len(faults_of("[edge]\nkey_file = 1\ncertificate_file = 'c'")) == 1
    assert len(faults_of("[mqtt]\nport = 8443\n[http]\nenabled = 1")) == 1


def test_paths_that_cannot_be_used_are_faults() -> None:
    content = b"data_dir = 'd'\n[edge]\nkey_file = 'k'\ncertificate_file = 'c'"
    with pytest.raises(ConfigurationInvalid) as caught:
        settings_from(content, {}, disk=DiskWithFaults())
    assert [str(fault) for fault in caught.value.faults] == [
        "edge.certificate_file: c does not exist",
        "edge.key_file: k does not exist",
        "data_dir: d is not a directory",
    ]
