"""The documents as a site: what mkdocs does not do by itself. `mkdocs.yml` names `hooks`."""
