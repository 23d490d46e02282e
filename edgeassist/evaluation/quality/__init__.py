"""How many tasks with known answers a model does right: tasks, checks that a program can make, verdicts."""
