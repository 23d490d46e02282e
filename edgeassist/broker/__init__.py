"""The connection to the MQTT broker; nothing else imports paho."""

from edgeassist.broker.connection import Broker
from edgeassist.broker.options import BrokerOptions, Tls
from edgeassist.broker.subscriptions import Route

__all__ = ["Broker", "BrokerOptions", "Route", "Tls"]
