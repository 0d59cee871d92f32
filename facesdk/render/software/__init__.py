"""A renderer in numpy: runs everywhere, with the same bytes for the same input.

It is frozen: new looks go to OpenGL or the web page.
"""
