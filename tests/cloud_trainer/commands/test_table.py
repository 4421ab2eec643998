from cloud_trainer.commands.table import instant, table


def test_columns_stand_under_their_heads_and_no_line_ends_in_spaces():
    assert table(("a", "long head"), [("wide entry", "x"), ("y", "")]) == (
        "a           long head\nwide entry  x\ny\n"
    )


def test_instants_are_told_to_the_minute_in_utc():
    assert instant(1_704_067_259_999_999) == "2024-01-01 00:00"
    assert instant(None) == "-"
