"""A fleet over MQTT: requests of one topic that many boxes answer, and what these say to each other."""
