"""Settings become the plain values that rooms take: what commands share with the daemon."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import SecretStr

from edgeassist import __version__
from edgeassist.broker import BrokerOptions, Tls
from edgeassist.configured import configured_model, number_or_none
from edgeassist.console.config import WEBSOCKET_PORT, PageConfig, check_broker_url
from edgeassist.errors import ConfigurationError
from edgeassist.folders import box_state_directory
from edgeassist.models.fit import Demand
from edgeassist.models.library import Library
from edgeassist.models.pulling.places import Places, places
from edgeassist.models.selected import Selected, select
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.topics import FleetTopics, Topics, fleet_topics
from edgeassist.settings import Settings

# Above the payload limit, so that what is too large can be refused with a word; a broker drops what is over
# the Maximum Packet Size in silence.
_PACKET_HEADROOM = 4
_MODELS = "models"


def topics_of(settings: Settings) -> Topics:
    """Return this device's topics."""
    return Topics(settings.mqtt.base, settings.device.name)


def client_id_of(settings: Settings) -> str:
    """Return the daemon's client id at the broker."""
    return settings.mqtt.client_id or f"edgeassist-{settings.device.name}"


def fleet_topics_of(settings: Settings) -> FleetTopics | None:
    """Return the topics of the fleet that this device is in; None where it is in none."""
    group = settings.fleet.group
    return None if group is None else fleet_topics(settings.mqtt.base, group)


def broker_options(settings: Settings, *, client_id: str, will: Outbound | None = None) -> BrokerOptions:
    """Return how to reach the broker, for a client of that id (the daemon's own has a will)."""
    mqtt = settings.mqtt
    tls = Tls(mqtt.tls_ca, mqtt.tls_cert, mqtt.tls_key, mqtt.tls_insecure) if mqtt.tls else None
    return BrokerOptions(
        host=mqtt.host,
        port=mqtt.effective_port,
        client_id=client_id,
        protocol=mqtt.protocol,
        username=mqtt.username,
        password=None if mqtt.password is None else mqtt.password.get_secret_value(),
        keepalive_s=mqtt.keepalive_s,
        session_expiry_s=0 if will is None else mqtt.session_expiry_s,
        reconnect_max_s=mqtt.reconnect_max_s,
        queue=mqtt.queue,
        max_packet_bytes=max(1 << 20, _PACKET_HEADROOM * settings.admission.payload_bytes),
        packet_bytes=mqtt.packet_bytes,
        tls=tls,
        will=will,
    )


def page_config_of(settings: Settings, broker: str | None = None) -> PageConfig:
    """Return what the console's page is told.

    Args:
        settings: In force.
        broker: Its WebSocket address; None: as set, or the usual port of the daemon's broker.

    Raises:
        ConfigurationError: The daemon's broker has a name of which no address for a browser can be made.
    """
    mqtt = settings.mqtt
    return PageConfig(
        broker=broker or settings.console.broker or _websockets_of(mqtt.host, tls=mqtt.tls),
        mqtt=mqtt.protocol,
        base=mqtt.base,
        device=settings.device.name,
        group=settings.fleet.group,
        version=__version__,
    )


def _websockets_of(host: str, *, tls: bool) -> str:
    # A browser, and a header of HTTP, have names in ASCII.
    name = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    try:
        return check_broker_url(f"{'wss' if tls else 'ws'}://{name}:{WEBSOCKET_PORT}")
    except ValueError:
        raise ConfigurationError(
            f"there is no WebSocket at a broker of the name {host!r} (the setting mqtt.host): "
            "set console.broker, such as ws://broker:9001"
        ) from None


def demand_of(settings: Settings) -> Demand:
    """Return what decides whether a model fits, as the engine is told it in `Load`."""
    engine = settings.engine
    return Demand(
        context=settings.model.context,
        kv_type=engine.kv_type,
        slots=number_or_none(engine.slots),
        kv_tokens=number_or_none(engine.kv_tokens),
        prefix_bytes=None if engine.prefix_mb == "auto" else engine.prefix_mb << 20,
        rows=engine.step_tokens,
        flash=engine.flash_attention != "off",
    )


def selected_model(settings: Settings, folder: Path | None = None) -> Selected:
    """Return the model to serve, for all who ask: the configured one, or one that was chosen since.

    Args:
        settings: In force.
        folder: The daemon's state directory; None: that of this box's.
    """
    return select(configured_model(settings), folder or box_state_directory())


def template_of(settings: Settings, selected: Selected) -> Path | None:
    """Return the template in place of the model's own: `model.template` is for the configured model."""
    return None if selected.chosen else settings.model.template


def library_of(settings: Settings) -> Library:
    """Return the folder of models: as set, below the daemon's state, or with the user's data."""
    if settings.library.folder is not None:
        return Library(settings.library.folder)
    state = box_state_directory(to_write=True)
    own = state == platformdirs.user_state_path("edgeassist")
    return Library((platformdirs.user_data_path("edgeassist") if own else state) / _MODELS)


def places_of(settings: Settings) -> Places:
    """Return where models are got from."""
    library = settings.library
    return places(
        hugging_face=library.hf_endpoint,
        hugging_face_token=_revealed(library.hf_token),
        model_scope=library.ms_endpoint,
        pypi=_revealed(library.pypi_index),
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
