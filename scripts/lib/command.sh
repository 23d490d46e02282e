#!/bin/sh
# edgeassist, for people. Who may read the service's credentials (root) uses them, unless others are set.
stored=/etc/credstore/edgeassist.mqtt
if [ -r "$stored.password" ] && [ -z "${EDGEASSIST_MQTT__USERNAME+set}${EDGEASSIST_MQTT__PASSWORD+set}" ]; then
  EDGEASSIST_MQTT__PASSWORD=$(cat "$stored.password")
  export EDGEASSIST_MQTT__PASSWORD
  if [ -r "$stored.username" ]; then
    EDGEASSIST_MQTT__USERNAME=$(cat "$stored.username")
    export EDGEASSIST_MQTT__USERNAME
  fi
fi
exec /opt/edgeassist/current/bin/edgeassist "$@"
