"""The tasks that come with the package, read once for all modules that are collected."""

from edgeassist.evaluation.quality.evaluate import load_tasks

BUILTIN = load_tasks()
