"""The floods of scripts/flood. Every module here is loaded; those that flood register with @flood."""
