"""glTF 2.0 and VRM animations: written with and without a head, read back as clips."""
