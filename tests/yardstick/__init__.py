"""The yardstick: this project's deployment beside the case study's, harmed alike, timed by the same meetings."""
