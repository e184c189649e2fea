"""What AWS checks of every call before it does anything, put before the emulator, which does not: that
the request is well-formed (`requests_checked`, `naming`), and that the caller may make it (`rights`).
"""
