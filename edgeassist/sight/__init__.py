"""What is seen of devices from outside: what they say of themselves, with a short history."""
