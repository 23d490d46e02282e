"""The connection to the MQTT broker; nothing else imports paho."""

from edgeassist.broker.connection import Broker
from edgeassist.broker.options import BrokerOptions, Tls

__all__ = ["Broker", "BrokerOptions", "Tls"]
