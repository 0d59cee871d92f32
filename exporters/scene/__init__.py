"""A head as FBX, glTF and USD hold it: skeleton, skin, materials, shapes and its curves.

Arrays of a head are computed once and kept for the next file.
"""
