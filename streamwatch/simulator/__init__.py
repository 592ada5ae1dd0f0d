"""Beside the path: a farm of RTSP cameras on loopback, with faults on request, for demo, scale and tests.

It shares no protocol code with the product: its RTSP parser, Digest check and packetiser are its own, so that a mistake
made on one side cannot hide the same mistake on the other.
"""
