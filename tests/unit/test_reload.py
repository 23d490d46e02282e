from edgeassist.settings import Settings, merge


def test_a_reload_takes_what_can_change_and_tells_what_has_to_wait() -> None:
    old = Settings(mqtt={"host": "a"}, admission={"queue": 5})
    new = Settings(
        mqtt={"host": "b", "reply_prefixes": ["x/"]},
        model={"system": "Be brief.", "context": 99},
        admission={"queue": 7},
        engine={"slots": 2},
        sampling={"top_k": 1},
    )
    reloaded = merge(old, new)
    assert set(reloaded.applied) == {
        "mqtt.reply_prefixes",
        "model.system",
        "admission.queue",
        "sampling.top_k",
    }
    assert set(reloaded.restart_needed) == {"mqtt.host", "model.context", "engine.slots"}
    assert reloaded.settings == Settings(
        mqtt={"host": "a", "reply_prefixes": ["x/"]},
        model={"system": "Be brief."},
        admission={"queue": 7},
        sampling={"top_k": 1},
    )


def test_a_reload_without_a_change_changes_nothing() -> None:
    secret = {"username": "u", "password": "p"}
    settings = Settings(mqtt=secret)
    reloaded = merge(settings, Settings(mqtt=secret))
    assert (reloaded.settings, reloaded.applied, reloaded.restart_needed) == (settings, [], [])


def test_a_new_secret_has_to_wait_for_the_next_start_and_is_told_by_its_name() -> None:
    old = Settings(mqtt={"username": "u", "password": "p"})
    reloaded = merge(old, Settings(mqtt={"username": "u", "password": "q"}))
    assert reloaded.restart_needed == ["mqtt.password"]
    assert reloaded.settings == old
