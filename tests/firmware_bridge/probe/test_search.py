import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.probe.asks import (
    FUNCTIONS,
    Dropped,
    Garbled,
    Hail,
    Identify,
    Listen,
    Overheard,
    Read,
    Sender,
    Silence,
    Spoken,
    Unfit,
    Wire,
)
from firmware_bridge.probe.conclusion import Sureness, conclude_all
from firmware_bridge.probe.plan import FAR_UNIT_MAX, Options, plan, seconds
from firmware_bridge.probe.search import DROPS_MAX, Search
from tests.firmware_bridge.probe.devices import Device, Rig, meter, once_garbled, run

PROFILES = [load_profile(name) for name in profile_names()]
QUIET = Options(listen_s=0)
USUAL = Wire(kind="serial", baud=19200, parity="E")
RARE = Wire(kind="serial", baud=38400, parity="O")


def five(wire: Wire, **options) -> Rig:
    """Five meters of different makers on one line."""
    return Rig(
        {
            (wire, 3): meter("carlo_gavazzi_em340", says={"device_code": 341, "serial_number": "BY1234"}, **options),
            (wire, 7): meter("eastron_sdm630", says={"meter_code": 0x89, "serial_number": 20_123_456}, **options),
            (wire, 12): Device(meter("schneider_iem3155").words, {0: "Schneider Electric", 1: "iEM3155", 2: "1.2"}),
            (wire, 17): meter("abb_b23", says={"type_code": 0x42323320, "serial_number": 42}, **options),
            (wire, 25): meter("eastron_sdm120", **options),
        }
    )


WHO = {
    3: "carlo_gavazzi_em340",
    7: "eastron_sdm630",
    12: "schneider_iem3155",
    17: "abb_b23",
    25: "eastron_sdm120",
}


def search(options: Options = QUIET) -> Search:
    return Search(plan(PROFILES, options), PROFILES)


def named(found: Search) -> dict[int, str | None]:
    return {one.unit: one.profile for one in conclude_all(found.devices)}


@pytest.mark.parametrize("wire", [USUAL, RARE], ids=lambda one: one.told)
def test_five_meters_with_unknown_settings_are_found_and_named(wire: Wire):
    rig = five(wire)
    found = run(search(), rig)
    assert named(found) == WHO
    for one in conclude_all(found.devices):
        assert one.wire == wire
        assert one.sureness in (Sureness.CERTAIN, Sureness.LIKELY)
        assert one.reasons
        assert one.rivals == ()


def test_a_search_never_asks_with_a_function_that_writes():
    rig = five(RARE)
    run(search(Options(all_units=True, thorough=True)), rig)
    reads = [ask for ask in rig.asked if isinstance(ask, Read)]
    assert {ask.function for ask in reads} <= FUNCTIONS
    assert len(reads) > 1000


def test_a_disturbed_line_gives_the_same_names():
    seen: set = set()
    rig = five(USUAL)
    rig.fate = lambda ask, heard: once_garbled(ask, heard, seen)
    assert named(run(search(), rig)) == WHO


def test_where_somebody_answers_all_units_are_asked_and_no_other_setting():
    rig = five(USUAL)
    run(search(), rig)
    asked = {(ask.wire, ask.unit) for ask in rig.asked}
    assert {unit for wire, unit in asked if wire == USUAL} >= set(range(1, FAR_UNIT_MAX + 1))
    assert RARE not in {wire for wire, _ in asked}


def test_a_thorough_search_goes_on_with_other_settings():
    rig = five(USUAL)
    rig.devices[RARE, 1] = meter("janitza_umg96rm_e")
    assert named(run(search(), rig)).get(1) is None
    thorough = run(search(Options(listen_s=0, thorough=True)), rig)
    assert named(thorough) == {**WHO, 1: "janitza_umg96rm_e"}


def test_a_device_that_is_silent_about_what_it_lacks_is_found_by_a_thorough_search():
    wire = Wire(kind="serial")
    rig = Rig({(wire, 1): meter("janitza_umg96rm_e", is_quiet=True)})
    assert run(search(), rig).devices == []
    assert named(run(search(Options(listen_s=0, thorough=True)), rig)) == {1: "janitza_umg96rm_e"}


def test_a_device_that_answers_at_two_settings_is_told_once():
    eight_n_two = Wire(kind="serial", stop_bits=2)
    device = meter("eastron_sdm630", says={"serial_number": 20_123_456})
    rig = Rig({(Wire(kind="serial"), 1): device, (eight_n_two, 1): device})
    (told,) = conclude_all(run(search(Options(listen_s=0, thorough=True)), rig).devices)
    assert (told.wire, told.also_at) == (Wire(kind="serial"), (eight_n_two,))


def test_nobody_is_nobody():
    rig = Rig()
    found = run(search(), rig)
    assert (found.devices, found.notes, found.left_s) == ([], [], 0.0)
    assert sum(seconds(ask) for ask in rig.asked) == pytest.approx(plan(PROFILES, QUIET).longest_s)


def test_what_is_left_shrinks_to_nothing():
    found = search()
    left_s = found.left_s
    rig = five(USUAL)
    while found.ask is not None:
        found.take(rig.hear(found.ask))
        assert 0 <= found.left_s <= left_s
        left_s = found.left_s
    assert found.left_s == 0


def test_two_devices_with_one_unit_id_are_suspected():
    rig = Rig({(USUAL, 4): meter("eastron_sdm630"), (USUAL, 5): meter("eastron_sdm630")})
    rig.fate = lambda ask, heard: Garbled("checksum wrong") if ask.unit == 5 else heard
    found = run(search(), rig)
    assert named(found) == {4: "eastron_sdm630"}
    assert any("two devices may share this unit id" in note and "unit 5" in note for note in found.notes)


def test_a_setting_that_the_adapter_cannot_do_is_passed_over():
    rig = five(USUAL)
    rig.fate = lambda ask, heard: Unfit() if ask.wire.parity == "O" else heard
    found = run(search(Options(listen_s=0, thorough=True)), rig)
    assert named(found) == WHO
    odd = [ask for ask in rig.asked if ask.wire.parity == "O"]
    assert len(odd) == len({ask.wire for ask in odd})  # one question each was enough
    assert sum("the adapter cannot do it" in note for note in found.notes) == len(odd)


def test_a_device_that_answers_late_is_asked_again_with_patience():
    device = meter("eastron_sdm630")

    class Late(Rig):
        def hear(self, ask):
            if isinstance(ask, Read) and ask.unit == 4 and ask.timeout_s > 0.5:
                return device.hear(ask)
            return (
                Silence((4,)) if isinstance(ask, Read) and (ask.wire, ask.unit) == (USUAL, 5) else super().hear(ask)
            )

    found = run(search(), Late())
    assert named(found) == {4: "eastron_sdm630"}
    assert any("answers late" in note for note in found.notes)


@pytest.mark.parametrize(("dialect", "advice"), [("tcp", "choose tcp"), ("rtu+tcp", "choose rtu+tcp")])
def test_an_address_is_asked_in_the_protocol_it_understands(dialect, advice: str):
    rig = five(Wire(kind=dialect))
    rig.dialect = dialect
    found = run(search(Options(is_serial=False, listen_s=0)), rig)
    assert named(found) == WHO
    assert any(advice in note for note in found.notes)
    assert {ask.wire.kind for ask in rig.asked if isinstance(ask, Read)} == {dialect}
    assert [ask.unit for ask in rig.asked if isinstance(ask, Hail)][-1] == 3


class OnEveryUnit(Rig):
    """A device that does not look at the unit id."""

    def hear(self, ask):
        if isinstance(ask, Hail):
            return Spoken("tcp", "")
        ((_, device),) = self.devices.items()
        return device.hear(ask) if isinstance(ask, Read | Identify) else Overheard(())


@pytest.mark.parametrize("name", ["shelly_pro_3em", "janitza_umg96rm_e", "eastron_sdm630"])
def test_a_device_that_answers_whatever_unit_is_asked_is_one_device(name: str):
    rig = OnEveryUnit({(Wire(kind="tcp"), 1): meter(name)})
    found = run(search(Options(is_serial=False, listen_s=0)), rig)
    assert named(found) == {1: name}
    assert any("whatever unit id" in note for note in found.notes)


@pytest.mark.slow
def test_a_gateway_that_refuses_for_units_it_does_not_have_is_not_many_devices():
    wire = Wire(kind="tcp")

    class Refusing(Rig):
        def hear(self, ask):
            if isinstance(ask, Hail):
                return Spoken("tcp", "")
            device = self.devices.get((ask.wire, ask.unit), Device({}))
            return device.hear(ask)

    options = Options(is_serial=False, listen_s=0)
    assert named(run(search(options), Refusing({(wire, 3): meter("eastron_sdm630")}))) == {3: "eastron_sdm630"}
    assert named(run(search(options), Refusing())) == {1: None}


def test_an_address_that_closes_every_connection_is_given_up():
    found = search(Options(is_serial=False, listen_s=0))
    for _ in range(DROPS_MAX):
        assert found.ask is not None
        found.take(Dropped("connection reset"))
    assert found.ask is None
    assert "closes every connection" in found.notes[0]


def test_who_sends_by_himself_is_heard_first():
    port = Wire(kind="serial", baud=115200)
    sender = Sender("p1", "XMX5", ("1-0:1.7.0",))
    rig = Rig(senders={port: Overheard((sender,))})
    found = run(search(Options(listen_s=2)), rig)
    assert [one.sender for one in found.broadcasts] == [sender]
    assert all(isinstance(ask, Listen) for ask in rig.asked)
    assert found.left_s == 0
    run(search(Options(listen_s=2, thorough=True)), rig)
    assert not all(isinstance(ask, Listen) for ask in rig.asked)


def test_bytes_of_an_unknown_sender_are_noted():
    wire = plan(PROFILES, Options()).listens[0].wire
    found = run(search(Options()), Rig(senders={wire: Overheard((), bytes_unknown=320)}))
    assert "320 bytes" in found.notes[0]
    assert "another program" in found.notes[0]


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_search_that_is_fed_old_answers_goes_on_as_if_never_interrupted(data):
    rig = five(USUAL)
    whole = run(search(), rig)
    heard = []
    first = search()
    cut = data.draw(st.integers(0, len(rig.asked)))
    for _ in range(cut):
        if first.ask is None:
            break
        heard.append((first.ask, rig.hear(first.ask)))
        first.take(heard[-1][1])
    second = search()
    for ask, answer in heard:
        assert second.ask == ask
        second.take(answer)
    assert second.ask == first.ask
    run(second, rig)
    assert conclude_all(second.devices) == conclude_all(whole.devices)
    assert second.notes == whole.notes
