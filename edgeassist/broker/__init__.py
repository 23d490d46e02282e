"""The connection to the MQTT broker; `connection` is the only module that imports paho."""

from edgeassist.broker.connection import Broker
from edgeassist.broker.options import BrokerOptions, Tls

__all__ = ["Broker", "BrokerOptions", "Tls"]
