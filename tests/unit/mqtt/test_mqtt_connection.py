"""The state of a connection: who may say what when, and the bytes that answer it."""

import math
from typing import Any

import pytest

from adapters.mqtt.wire import connection as states
from adapters.mqtt.wire import packets as p
from adapters.mqtt.wire import properties as props
from adapters.mqtt.wire import reasons
from adapters.mqtt.wire.connection import Connection
from adapters.mqtt.wire.effects import UNANSWERED, Admit, Delivery, Goodbye, Send
from adapters.mqtt.wire.errors import (
    AdmissionOverdue,
    ConnectOverdue,
    IdentifierRejected,
    KeepAliveExceeded,
    MalformedPacket,
    PacketTooLarge,
    ProtocolViolation,
    VersionUnsupported,
    WireFault,
)
from adapters.mqtt.wire.limits import Limits
from tests.support.mqtt_client import answers, connect, publish

LIMITS = Limits(
    remaining_max_bytes=2176,
    connect_max_bytes=8192,
    unacknowledged_max=3,
    keep_alive_max_s=600,
    connect_deadline_s=10.0,
    admission_deadline_s=30.0,
)
CONNACK_5 = bytes.fromhex("2011 0000 0e 210003 2401 2700000883 2900 2a00".replace(" ", ""))


def admitting(version: int = 4, **facts: Any) -> Connection:
    made = Connection(LIMITS, 0.0)
    assert isinstance(made.receive(connect(version, **facts), 0.0), Admit)
    return made


def opened(version: int = 4, **facts: Any) -> Connection:
    made = admitting(version, **facts)
    made.accept(0.0)
    assert made.state == states.OPEN
    return made


def delivered(made: Connection, packet_id: int = 1, qos: int = 1) -> Delivery:
    effect = made.receive(publish(qos=qos, packet_id=packet_id), 0.0)
    assert isinstance(effect, Delivery)
    return effect


class TestConnecting:
    def test_the_answer_to_a_3_1_1_client(self) -> None:
        assert admitting(4).accept(0.0) == bytes.fromhex("20020000")

    def test_the_answer_to_a_version_5_client_names_every_limit(self) -> None:
        assert admitting(5).accept(0.0) == CONNACK_5

    def test_a_version_5_client_without_an_identifier_is_told_its_own(self) -> None:
        connack = admitting(5, client_id="").accept(0.0, "abc")
        assert bytes.fromhex("120003616263") in connack

    @pytest.mark.parametrize("asked", [0, 601, 65_535])
    def test_a_version_5_client_is_told_when_its_keep_alive_is_lowered(self, asked: int) -> None:
        made = admitting(5, keep_alive_s=asked)
        assert bytes.fromhex("130258") in made.accept(0.0)
        assert made.deadline == 900.0

    def test_a_session_that_should_outlive_the_connection_is_answered_with_zero(self) -> None:
        connack = admitting(5, properties={props.SESSION_EXPIRY_INTERVAL: 60}).accept(0.0)
        assert bytes.fromhex("1100000000") in connack

    def test_a_client_that_cannot_take_the_answer_gets_none_and_is_closed(self) -> None:
        made = admitting(5, properties={props.MAXIMUM_PACKET_SIZE: len(CONNACK_5) - 1})
        assert made.accept(0.0) == b""
        assert made.state == states.CLOSED

    def test_a_client_that_can_just_take_the_answer_gets_it(self) -> None:
        assert admitting(5, properties={props.MAXIMUM_PACKET_SIZE: len(CONNACK_5)}).accept(0.0) == CONNACK_5

    @pytest.mark.parametrize(("version", "wire"), [(4, "2002 0005"), (5, "2009 0087 06 1f0003 6e6179")])
    def test_a_refusal(self, version: int, wire: str) -> None:
        made = admitting(version)
        assert made.refuse(5, 0x87, "nay") == bytes.fromhex(wire.replace(" ", ""))
        assert made.state == states.CLOSED

    @pytest.mark.parametrize("facts", [{props.REQUEST_PROBLEM_INFORMATION: 0}, {props.MAXIMUM_PACKET_SIZE: 12}])
    def test_a_refusal_without_its_reason_string_where_that_is_unwanted(self, facts: props.Properties) -> None:
        assert admitting(5, properties=facts).refuse(5, 0x87, "not allowed") == bytes.fromhex("2003008700")

    def test_a_refusal_too_long_for_the_client_is_left_out(self) -> None:
        assert admitting(5, properties={props.MAXIMUM_PACKET_SIZE: 4}).refuse(5, 0x87, None) == b""

    def test_extended_authentication_is_refused(self) -> None:
        made = Connection(LIMITS, 0.0)
        with pytest.raises(ProtocolViolation) as raised:
            made.receive(connect(5, properties={props.AUTHENTICATION_METHOD: "x"}), 0.0)
        assert answers(made.fail(raised.value))[0][1][:2] == b"\x00\x8c"

    @pytest.mark.parametrize(("version", "is_refused"), [(4, False), (5, True)])
    def test_a_will_that_may_not_be_is_refused_where_the_client_is_told_why(
        self, version: int, is_refused: bool
    ) -> None:
        made = Connection(LIMITS, 0.0)
        packet = connect(version, will=p.Will(topic="t", payload=b"", qos=2, retain=False))
        if not is_refused:
            assert isinstance(made.receive(packet, 0.0), Admit)
            return
        with pytest.raises(ProtocolViolation) as raised:
            made.receive(packet, 0.0)
        assert answers(made.fail(raised.value))[0][1][:2] == b"\x00\x9b"

    def test_a_will_is_taken_and_forgotten(self) -> None:
        opened(5, will=p.Will(topic="t", payload=b"x", qos=1, retain=True))

    def test_nothing_else_may_come_first(self) -> None:
        made = Connection(LIMITS, 0.0)
        with pytest.raises(ProtocolViolation) as raised:
            made.receive(p.PingRequest(), 0.0)
        assert made.fail(raised.value) == b""
        assert made.state == states.CLOSED

    def test_no_packet_is_taken_while_admission_is_out(self) -> None:
        made = admitting()
        assert made.room == 0
        with pytest.raises(ProtocolViolation):
            made.receive(p.PingRequest(), 0.0)

    @pytest.mark.parametrize(("asked", "is_refused"), [({}, True), ({props.SESSION_EXPIRY_INTERVAL: 5}, False)])
    def test_a_session_may_not_be_made_to_last_by_its_goodbye(self, asked: props.Properties, is_refused: bool) -> None:
        made = opened(5, properties=asked)
        goodbye = p.Disconnect(0, {props.SESSION_EXPIRY_INTERVAL: 60})
        if not is_refused:
            assert isinstance(made.receive(goodbye, 0.0), Goodbye)
            return
        with pytest.raises(ProtocolViolation) as raised:
            made.receive(goodbye, 0.0)
        assert made.fail(raised.value)[2] == 0x82

    def test_a_second_connect_ends_the_connection(self) -> None:
        made = opened(5)
        with pytest.raises(ProtocolViolation) as raised:
            made.receive(connect(5), 0.0)
        assert made.fail(raised.value)[2] == 0x82

    @pytest.mark.parametrize(
        ("fault", "wire"),
        [
            (VersionUnsupported("", version=3), "20020001"),
            (VersionUnsupported("", version=6), "2003008400"),
            (IdentifierRejected("", version=4), "20020002"),
            (MalformedPacket("", version=4), ""),
            (MalformedPacket("", version=5), "2003008100"),
            (ProtocolViolation("", version=5), "2003008200"),
            (PacketTooLarge(""), ""),
        ],
    )
    def test_a_fault_of_the_connect_is_answered_as_far_as_its_version_has_words(
        self, fault: WireFault, wire: str
    ) -> None:
        made = Connection(LIMITS, 0.0)
        assert made.fail(fault) == bytes.fromhex(wire)
        assert made.state == states.CLOSED
        assert made.room == 0


class TestMessages:
    @pytest.mark.parametrize("version", [4, 5])
    def test_a_kept_message_is_acknowledged(self, version: int) -> None:
        made = opened(version)
        assert made.settle(delivered(made, 0x1234), reasons.SUCCESS) == bytes.fromhex("40021234")
        assert made.outstanding == 0

    @pytest.mark.parametrize("qos", [0, 2])
    def test_a_message_without_puback_is_only_counted(self, qos: int) -> None:
        made = opened(4)
        delivery = delivered(made, qos=qos)
        assert made.outstanding == 1
        assert made.settle(delivery, reasons.SUCCESS) == b""
        assert made.outstanding == 0

    def test_pubacks_wait_for_those_before_them(self) -> None:
        made = opened()
        first, second, third = (delivered(made, packet_id) for packet_id in (1, 2, 3))
        assert made.settle(third, reasons.SUCCESS) == b""
        assert made.settle(first, reasons.SUCCESS) == bytes.fromhex("40020001")
        assert made.settle(second, reasons.SUCCESS) == bytes.fromhex("4002000240020003")

    def test_the_queue_works_on_after_it_was_empty(self) -> None:
        made = opened()
        for packet_id in (1, 2, 3, 4):
            assert made.settle(delivered(made, packet_id), reasons.SUCCESS) == bytes((0x40, 2, 0, packet_id))

    def test_a_message_settled_twice_counts_once(self) -> None:
        made = opened()
        first, second = delivered(made, 0, qos=0), delivered(made, 1)
        made.settle(first, reasons.SUCCESS)
        assert made.settle(first, reasons.SUCCESS) == b""
        assert made.outstanding == 1
        assert made.settle(second, reasons.SUCCESS) != b""
        assert made.settle(second, reasons.SUCCESS) == b""
        assert made.outstanding == 0

    def test_an_unanswered_message_makes_way_for_those_behind_it(self) -> None:
        made = opened()
        first, second = delivered(made, 1), delivered(made, 2)
        assert made.settle(second, reasons.SUCCESS) == b""
        assert made.settle(first, UNANSWERED) == bytes.fromhex("40020002")

    @pytest.mark.parametrize(
        ("version", "facts", "wire"),
        [
            (4, {}, "40020001"),
            (5, {}, "4008 0001 80 04 1f0001 6e"),
            (5, {props.REQUEST_PROBLEM_INFORMATION: 0}, "4003 0001 80"),
            (5, {props.MAXIMUM_PACKET_SIZE: 31}, "4008 0001 80 04 1f0001 6e"),
        ],
    )
    def test_a_message_that_was_not_kept_but_is_acknowledged(
        self, version: int, facts: props.Properties, wire: str
    ) -> None:
        made = opened(version, properties=facts)
        due = made.settle(delivered(made, 1), reasons.UNSPECIFIED_ERROR, "n")
        assert due == bytes.fromhex(wire.replace(" ", ""))

    def test_a_reason_string_too_long_for_the_client_is_left_out(self) -> None:
        made = opened(5, properties={props.MAXIMUM_PACKET_SIZE: 31})
        due = made.settle(delivered(made, 1), reasons.UNSPECIFIED_ERROR, "n" * 31)
        assert due == bytes.fromhex("4003000180")

    def test_a_3_1_1_client_with_too_much_unacknowledged_is_not_read(self) -> None:
        made = opened(4)
        deliveries = [delivered(made, packet_id) for packet_id in (1, 2, 3)]
        assert made.room == 0
        made.settle(deliveries[0], reasons.SUCCESS)
        assert made.room > 0

    def test_a_version_5_client_is_cut_off_beyond_the_receive_maximum(self) -> None:
        made = opened(5)
        for packet_id in (1, 2, 3):
            delivered(made, packet_id)
        assert made.room > 0
        assert made.receive(p.PingRequest(), 0.0) == Send(b"\xd0\x00")
        with pytest.raises(ProtocolViolation) as raised:
            delivered(made, 4)
        assert made.fail(raised.value)[2] == 0x93

    @pytest.mark.parametrize("version", [4, 5])
    def test_messages_without_puback_are_bounded_too(self, version: int) -> None:
        made = opened(version)
        deliveries = [delivered(made, 0, qos=0) for _ in range(3)]
        assert made.room == 0
        made.settle(deliveries[2], reasons.SUCCESS)
        assert made.room > 0

    def test_qos_2_is_for_the_adapter_to_refuse_in_3_1_1_and_a_fault_in_5(self) -> None:
        assert delivered(opened(4), 1, qos=2).publish.qos == 2
        made = opened(5)
        with pytest.raises(ProtocolViolation) as raised:
            delivered(made, 1, qos=2)
        assert made.fail(raised.value)[2] == 0x9B

    def test_a_topic_alias_is_a_fault(self) -> None:
        made = opened(5)
        with pytest.raises(ProtocolViolation) as raised:
            made.receive(publish(properties={props.TOPIC_ALIAS: 1}), 0.0)
        assert made.fail(raised.value)[2] == 0x94

    def test_other_properties_are_none(self) -> None:
        made = opened(5)
        assert isinstance(made.receive(publish(properties={props.CONTENT_TYPE: "text"}), 0.0), Delivery)

    def test_late_word_of_a_message_changes_nothing(self) -> None:
        made = opened()
        delivery = delivered(made)
        made.close(reasons.SERVER_SHUTTING_DOWN)
        assert made.settle(delivery, reasons.SUCCESS) == b""


class TestOtherPackets:
    def test_a_ping_is_answered(self) -> None:
        assert opened().receive(p.PingRequest(), 0.0) == Send(bytes.fromhex("d000"))

    @pytest.mark.parametrize(("version", "wire"), [(4, "9004000a8080"), (5, "9005000a008f9e")])
    def test_a_refused_subscription(self, version: int, wire: str) -> None:
        made = opened(version)
        packet = p.Subscribe(10, (p.Filter("a", 1), p.Filter("b", 0)))
        assert made.receive(packet, 0.0) is packet
        assert made.answer_subscribe(10, [0x8F, 0x9E]) == bytes.fromhex(wire)

    def test_a_granted_subscription(self) -> None:
        assert opened(4).answer_subscribe(10, [1, 0]) == bytes.fromhex("9004000a0100")

    @pytest.mark.parametrize(("version", "wire"), [(4, "b002000a"), (5, "b004000a0011")])
    def test_the_end_of_a_subscription(self, version: int, wire: str) -> None:
        made = opened(version)
        packet = p.Unsubscribe(10, ("a",))
        assert made.receive(packet, 0.0) is packet
        assert made.answer_unsubscribe(10, [0x11]) == bytes.fromhex(wire)

    def test_an_answer_too_long_for_the_client_is_left_out(self) -> None:
        made = opened(5, properties={props.MAXIMUM_PACKET_SIZE: 32})
        assert made.answer_subscribe(1, [0x8F] * 40) == b""

    def test_a_subscription_identifier_is_a_fault(self) -> None:
        made = opened(5)
        packet = p.Subscribe(1, (p.Filter("a", 0),), {props.SUBSCRIPTION_IDENTIFIER: 1})
        with pytest.raises(ProtocolViolation) as raised:
            made.receive(packet, 0.0)
        assert made.fail(raised.value)[2] == 0xA1

    @pytest.mark.parametrize("kind", [p.PUBACK, p.PUBREC, p.PUBREL, p.PUBCOMP])
    def test_an_acknowledgement_of_nothing_is_a_fault(self, kind: int) -> None:
        with pytest.raises(ProtocolViolation):
            opened().receive(p.Acknowledgement(kind, 1), 0.0)

    def test_auth_without_a_method_agreed_is_a_fault(self) -> None:
        with pytest.raises(ProtocolViolation):
            opened(5).receive(p.Auth(0x19), 0.0)

    def test_goodbye_is_not_answered(self) -> None:
        made = opened(5)
        assert made.receive(p.Disconnect(4), 0.0) == Goodbye(4)
        assert made.state == states.CLOSED
        assert made.close(reasons.SERVER_SHUTTING_DOWN) == b""


class TestClosing:
    @pytest.mark.parametrize(
        ("version", "facts", "wire"),
        [
            (4, {}, ""),
            (5, {}, "e006 8b 04 1f0001 73"),
            (5, {props.REQUEST_PROBLEM_INFORMATION: 0}, "e001 8b"),
        ],
    )
    def test_the_server_says_why_where_it_can(self, version: int, facts: props.Properties, wire: str) -> None:
        made = opened(version, properties=facts)
        assert made.close(reasons.SERVER_SHUTTING_DOWN, "s") == bytes.fromhex(wire.replace(" ", ""))
        assert made.state == states.CLOSED

    def test_nothing_is_said_before_the_connack_but_the_connack(self) -> None:
        assert admitting(5).close(reasons.SERVER_SHUTTING_DOWN) == b""
        assert answers(admitting(5).fail(AdmissionOverdue("")))[0][1][:2] == b"\x00\x88"
        assert admitting(4).fail(AdmissionOverdue("")) == bytes.fromhex("20020003")

    def test_nothing_is_said_after_the_end(self) -> None:
        made = opened(5)
        made.close(reasons.SERVER_SHUTTING_DOWN)
        assert made.fail(MalformedPacket("")) == b""


class TestSilence:
    def test_without_a_connect(self) -> None:
        made = Connection(LIMITS, 100.0)
        assert made.deadline == 110.0
        assert made.overdue(109.9) is None
        assert isinstance(made.overdue(110.0), ConnectOverdue)

    def test_of_admission(self) -> None:
        made = Connection(LIMITS, 0.0)
        made.receive(connect(), 5.0)
        assert made.overdue(34.9) is None
        assert isinstance(made.overdue(35.0), AdmissionOverdue)

    @pytest.mark.parametrize("version", [4, 5])
    def test_of_one_and_a_half_keep_alives(self, version: int) -> None:
        made = opened(version, keep_alive_s=10)
        made.receive(p.PingRequest(), 7.0)
        assert made.overdue(21.9) is None
        fault = made.overdue(22.0)
        assert isinstance(fault, KeepAliveExceeded)
        assert made.fail(fault)[2:3] == (b"\x8d" if version == 5 else b"")

    def test_a_3_1_1_client_is_held_to_what_it_asked_for(self) -> None:
        assert opened(4, keep_alive_s=65_535).deadline == 65_535 * 1.5
        assert opened(4, keep_alive_s=0).deadline == math.inf

    def test_a_client_that_is_not_read_is_not_silent(self) -> None:
        made = opened(4, keep_alive_s=10)
        for packet_id in (1, 2, 3):
            delivered(made, packet_id)
        assert made.overdue(15.0) is None
        assert made.deadline == 30.0

    def test_after_the_end_means_nothing(self) -> None:
        made = opened()
        made.close(reasons.SUCCESS)
        assert made.overdue(1e9) is None


def test_the_maximum_packet_size_counts_the_fixed_header() -> None:
    assert LIMITS.packet_max_bytes == 1 + 2 + 2176
