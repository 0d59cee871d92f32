"""The head that comes with facesdk and what it is put together from."""
