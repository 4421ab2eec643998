from gateway.config import load
from provisioning.explain import explain, warnings

SMALLEST = """
[site]
gateway_id = "home"
[[bus]]
name = "house"
url = "tcp://10.0.0.5:502"
[[meter]]
name = "main"
bus = "house"
unit = 1
profile = "eastron_sdm630"
"""


def said(*lines: str) -> str:
    return "\n".join(explain(load(SMALLEST + "\n".join(lines))))


def test_every_meter_is_named_with_its_line_profile_and_place():
    text = said('role = "solar"')
    assert "It reads 1 meter on 1 line every second:" in text
    assert "house at tcp://10.0.0.5:502, where a meter has 1 second to answer:" in text
    assert "main: eastron_sdm630, unit 1, measures the solar inverter, at most 22000 W." in text


def test_of_devices_that_send_by_themselves_nothing_is_asked():
    text = "\n".join(explain(load(SMALLEST.replace("[[meter]]", 'protocol = "sensor"\n[[meter]]'))))
    assert "house at tcp://10.0.0.5:502, where it listens to what is sent (sensor) and asks nothing:" in text
    assert "measures something else.\n" in text


def test_a_folder_with_profiles_is_named():
    text = "\n".join(explain(load('profiles = "/srv/mine"\n' + SMALLEST)))
    assert "It looks for the profiles of meters in /srv/mine first." in text
    assert "profiles of meters" not in said()


def test_a_line_without_meters_is_pointed_out():
    text = said("[[bus]]", 'name = "spare"', 'url = "tcp://10.0.0.6:502"')
    assert "spare at tcp://10.0.0.6:502: no meter, so this line is never opened." in text


def test_what_consumption_means_follows_from_the_roles():
    assert "nothing is forecast" in said()
    assert "what the loads draw" in said('role = "load"')
    assert "what the grid delivers;" in said('role = "grid"')
    solar = ['role = "grid"', "[[meter]]", 'name = "sun"', 'bus = "house"', "unit = 2"]
    assert "plus what the sun does" in said(*solar, 'profile = "eastron_sdm630"', 'role = "solar"')


def test_the_most_that_a_power_cut_takes_is_said():
    assert "a power cut takes the last minute at most" in said()
    assert "the last 5 minutes at most" in said("[record]", "recording_period_s = 300")


def test_where_data_goes_is_said_even_when_it_goes_nowhere():
    assert "It sends nothing" in said()
    assert "It sends what it kept to https://home.example every 5 minutes." in said(
        "[sync]", 'url = "https://home.example"'
    )
    assert "It stays with the model it came with" in said()
    text = said("[update]", 'url = "https://models.example"', 'root = "/etc/root.json"')
    assert "asks https://models.example for a new model on the channel stable every hour" in text


def test_a_page_that_strangers_can_read_is_shouted():
    assert "at http://127.0.0.1:8480/ to this machine alone" in said()
    assert "http://[::1]:8480/ to this machine alone" in said("[page]", 'host = "::1"')
    assert "to EVERYONE who can reach" in said("[page]", 'host = "0.0.0.0"')
    assert "at a port that the system chooses" in said("[page]", "port = 0")


def test_kilowatts_in_the_place_of_watts_are_pointed_out():
    assert warnings(load(SMALLEST)) == []
    assert warnings(load(SMALLEST + "rated_power_w = 500")) == []
    assert warnings(load(SMALLEST + "rated_power_w = 22")) == [
        "meter.main.rated_power_w = 22: less than any main breaker lets through; if 22 kW are meant, write 22000."
    ]


def test_a_path_that_depends_on_where_the_gateway_starts_is_pointed_out():
    some = warnings(load(SMALLEST + "[store]\nfolder = 'data'\n[clock]\norigin = '/tmp/clock'"))
    assert some == ["store.folder = 'data': a gateway that is started in another folder takes another one."]


def test_simulated_time_is_shouted():
    assert "Its time is SIMULATED by /tmp/clock" in said("[clock]", 'origin = "/tmp/clock"')
