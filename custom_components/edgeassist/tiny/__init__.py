"""EdgeAssist Tiny, the box's built-in model, as a conversation agent.

The model gets no tools: it answers a command with an action in JSON, a question from the sensors in its
prompt. `turn` says what it is asked for what somebody said (`hearing`, `readings`) and what its answer comes
to (`judging`, `intents`), `said` puts that into words, and `agent` does it. All but `agent` and `registries`
are pure.
"""
