"""Requests on disk, so that a restart loses none; nothing else imports sqlite3."""
