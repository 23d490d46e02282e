"""The console: a page for the browser, which speaks MQTT over WebSockets, and what hands it out."""
