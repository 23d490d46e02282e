"""Where requests come in and answers go out: one package per transport or guest."""
