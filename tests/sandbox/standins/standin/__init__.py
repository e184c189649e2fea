"""Stand-ins for jitsi-videobridge and jicofo: they talk as the real ones do, and fail like them."""
