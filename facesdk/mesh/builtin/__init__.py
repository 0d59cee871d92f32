"""The built-in head and how it is assembled."""
