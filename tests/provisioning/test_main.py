from firmware_bridge.errors import Exit
from provisioning.__main__ import main


def test_help_names_the_commands(capsys):
    assert main(["--help"]) == Exit.OK
    assert "config" in capsys.readouterr().out


def test_an_unknown_command_or_a_missing_argument_is_a_users_mistake(capsys):
    for argv in (["confg"], ["config", "validate"]):
        assert main(argv) == Exit.BAD_SETTING
        assert "Traceback" not in capsys.readouterr().err
