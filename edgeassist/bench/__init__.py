"""The measurements behind `edgeassist bench`."""
