"""Find out about a machine: broker, systemd, files, sensors. They change nothing; every wait is limited."""
