from edgeassist.daemon.app import App
from edgeassist.protocol.commands import COMMANDS
from edgeassist.settings import load_settings
from edgeassist.settings.keys import live_keys
from tests.unit.liveness import changeable


async def test_a_setting_is_marked_as_live_if_and_only_if_some_room_takes_it_while_running() -> None:
    loaded = load_settings(environ={"EDGEASSIST_MODEL__BACKEND": "scripted"})
    assert changeable(App(loaded, lambda: loaded).control.rooms) == live_keys()


async def test_every_command_of_the_contract_has_a_handler() -> None:
    loaded = load_settings(environ={"EDGEASSIST_MODEL__BACKEND": "scripted"})
    control = App(loaded, lambda: loaded).control
    assert set(control.handlers) == set(COMMANDS)
