from cloud_trainer.finding import CHECKS, Finding


def test_a_finding_is_one_sentence_that_names_its_check():
    finding = Finding("stuck", "warning", "it shows 5 W for ever", "look at the meter", "production_w")
    assert finding.sentence() == "warning stuck production_w: it shows 5 W for ever; look at the meter."
    assert finding.check in CHECKS


def test_a_finding_about_the_whole_site_names_no_target():
    assert Finding("roles", "note", "a", "b").sentence() == "note roles: a; b."
