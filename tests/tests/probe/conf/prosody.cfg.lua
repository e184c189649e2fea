-- A bare Prosody 13 with the entities of a Jitsi site and stock modules only: Jitsi's own are not
-- on every machine. `@…@` is filled in by the tests.
run_as_root = true
data_path = "@DIR@/prosody"
pidfile = "@DIR@/prosody.pid"
log = { info = "*console" }
modules_enabled = { "roster", "saslauth", "tls", "disco", "ping", "websocket", "bosh" }
modules_disabled = { "s2s" }
component_admins_as_room_owners = true
http_ports = { 5280 }; https_ports = {}; http_interfaces = { "127.0.0.1" }
c2s_ports = { 5222 }; c2s_interfaces = { "127.0.0.1" }; c2s_direct_tls_ports = {}
http_default_host = "meet.example.com"
consider_websocket_secure = true; consider_bosh_secure = true
VirtualHost "meet.example.com"
  authentication = "@AUTHENTICATION@"
  c2s_require_encryption = false
  ssl = { key = "@DIR@/key.pem", certificate = "@DIR@/cert.pem" }
VirtualHost "auth.meet.example.com"
  authentication = "internal_hashed"
  modules_enabled = { "smacks" }
  smacks_hibernation_time = 2
  ssl = { key = "@DIR@/key.pem", certificate = "@DIR@/cert.pem" }
Component "conference.meet.example.com" "muc"
  restrict_room_creation = true
  storage = "memory"
  admins = { "focus@auth.meet.example.com" }
  muc_room_locking = false
  muc_room_default_public_jids = true
Component "internal.auth.meet.example.com" "muc"
  storage = "memory"
  admins = { "focus@auth.meet.example.com", "jvb@auth.meet.example.com" }
  muc_room_locking = false
  muc_room_default_public_jids = true
