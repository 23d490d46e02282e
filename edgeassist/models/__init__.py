"""Models: what a setting names, what their files say, whether they fit, and which suits a device."""
