//! Where things are on an instance: paths and loopback ports that a rendered file names and a
//! program must agree on.

/// Folder of the agent's socket: systemd makes it, only root may put anything there.
pub const AGENT_RUNTIME: &str = "/run/jitsi-agent";
/// Socket of the agent's own HTTP server; nginx passes `/healthz` to it. A port could be taken by any
/// process of the machine while the agent restarts.
pub const AGENT_SOCKET: &str = "/run/jitsi-agent/http.sock";
/// Port of nginx the load balancer asks for health, and nothing else: visitors cannot fill it.
pub const HEALTH_PORT: u16 = 8443;
/// Port of nginx on 127.0.0.1 with all of the site and none of the limits for visitors: the agent's own
/// way in.
pub const INSIDE_PORT: u16 = 8444;
/// Port of jicofo's HTTP server on 127.0.0.1.
pub const JICOFO_PORT: u16 = 8888;
/// Port of the bridge's HTTP server on 127.0.0.1.
pub const VIDEOBRIDGE_PORT: u16 = 8080;
/// Port of Prosody's HTTP server on 127.0.0.1: BOSH and WebSocket.
pub const PROSODY_HTTP_PORT: u16 = 5280;
/// Port of Prosody's client connections on 127.0.0.1.
pub const PROSODY_C2S_PORT: u16 = 5222;
/// UDP port of all media.
pub const MEDIA_PORT: u16 = 10000;

/// Seconds the load balancer keeps an idle connection; nginx keeps it a minute longer, else the
/// load balancer sends a request into a closed one and answers 502. (ELB takes 1 to 4000.)
pub const IDLE_SECONDS: u32 = 3600;

/// The agent's binary.
pub const AGENT_BINARY: &str = "/usr/local/bin/jitsi-agent";
/// The agent's systemd unit.
pub const AGENT_UNIT: &str = "/etc/systemd/system/jitsi-agent.service";
/// The systemd unit that installs the packages, so that the agent's own can be hardened.
pub const INSTALL_UNIT: &str = "/etc/systemd/system/jitsi-agent-install.service";
/// The systemd unit that installs Systems Manager's own agent, where the image lacks it.
pub const SSM_AGENT_UNIT: &str = "/etc/systemd/system/jitsi-agent-ssm.service";
/// Minutes after which systemd ends an installation; no boot takes longer.
pub const INSTALL_MINUTES: u64 = 45;
/// The packet filter's rules that keep Jitsi's programs from the metadata service.
pub const METADATA_RULES: &str = "/etc/jitsi-agent/metadata.nft";
/// The systemd unit that loads [`METADATA_RULES`].
pub const METADATA_UNIT: &str = "jitsi-metadata.service";
/// The users those rules are for: the bridge's, jicofo's, Prosody's, nginx's workers'.
pub const SERVICE_USERS: [&str; 4] = ["jvb", "jicofo", "prosody", "www-data"];

/// The agent's configuration: [`crate::settings::InstanceSettings`] as JSON, written by user-data.
pub const AGENT_CONFIG: &str = "/etc/jitsi-agent/config.json";

/// Where in the agent's bucket an instance notes what held a meeting; it may write there and nowhere else.
pub const PROVEN_PREFIX: &str = "proven/";

/// Name of the bucket that holds the agent: account and region keep it unique in the partition.
pub fn agent_bucket(deployment: &str, account: &str, region: &str) -> String {
    format!("{deployment}-{account}-{region}")
}

/// Certificate nginx shows the load balancer, made by the agent; the load balancer does not check it.
pub const NGINX_CERTIFICATE: &str = "/etc/jitsi-agent/tls/site.crt";
/// Key of [`NGINX_CERTIFICATE`].
pub const NGINX_KEY: &str = "/etc/jitsi-agent/tls/site.key";
/// Certificate Prosody shows on loopback (the same self-signed pair; `root:prosody` 0640).
pub const PROSODY_CERTIFICATE: &str = "/etc/prosody/certs/jitsi-agent.crt";
/// Key of [`PROSODY_CERTIFICATE`].
pub const PROSODY_KEY: &str = "/etc/prosody/certs/jitsi-agent.key";

/// Keyring of Jitsi's apt repository, dearmored.
pub const JITSI_KEYRING: &str = "/usr/share/keyrings/jitsi-keyring.gpg";
/// Keyring of Prosody's apt repository, dearmored.
pub const PROSODY_KEYRING: &str = "/usr/share/keyrings/prosody-debian-packages.gpg";

/// Which versions apt shall install.
pub const APT_PINS: &str = "/etc/apt/preferences.d/jitsi.pref";

/// The agent's own Prosody modules, rendered.
pub const OWN_PLUGINS: &str = "/usr/local/lib/prosody/modules";
/// Jitsi's Prosody modules, from the package `jitsi-meet-prosody`.
pub const JITSI_PLUGINS: &str = "/usr/share/jitsi-meet/prosody-plugins";
/// Where Prosody looks for modules: Debian's own, then `plugin_paths`.
pub const PROSODY_PLUGINS: [&str; 3] = ["/usr/lib/prosody/modules", OWN_PLUGINS, JITSI_PLUGINS];

/// Directory of the page visitors see while no meeting can be held.
pub const MAINTENANCE_ROOT: &str = "/usr/share/jitsi-agent";

/// The swap file, where [`crate::Memory`] wants one.
pub const SWAP_FILE: &str = "/var/swap.jitsi";
/// The systemd unit that activates [`SWAP_FILE`]; systemd derives the name from the path.
pub const SWAP_UNIT: &str = "var-swap.jitsi.swap";

/// What packages put in the way of the rendered files, to be removed: nginx's own default server,
/// Prosody's `localhost`.
pub const UNWANTED: [&str; 2] =
    ["/etc/nginx/sites-enabled/default", "/etc/prosody/conf.d/localhost.cfg.lua"];

/// Tag of the Auto Scaling group in which an instance counts the launches that failed the same way.
pub const FAILED_LAUNCHES_TAG: &str = "jitsi-aws:failed-launches";
/// The CloudWatch namespace of every metric the agent reports: it writes there, its role may write
/// nowhere else, the dashboard reads there.
pub const METRICS_NAMESPACE: &str = "jitsi-aws";
/// The dimension of those metrics that carries the deployment's name.
pub const METRICS_DEPLOYMENT: &str = "Deployment";
