"""Take snapshots of a box: broker, systemd, files, sensors. They change nothing; every wait has a limit."""
