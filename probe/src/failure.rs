//! Why no meeting could be held, in words an operator understands.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::report::StepName;
use crate::target::Mapping;

/// Who is silent where no connection comes about.
pub(crate) const SITE: &str = "the site";

/// Why no meeting could be held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The target makes no sense, or this machine lacks something.
    #[error("{0}")]
    Setup(String),
    /// The name has no address.
    #[error("{host} does not resolve: {why}")]
    Resolve {
        /// The name looked up.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// No TCP connection.
    #[error("no connection to {address}: {why}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the system said.
        why: String,
    },
    /// No TLS session.
    #[error("no TLS session with {address}: {why}")]
    Tls {
        /// With whom.
        address: SocketAddr,
        /// What went wrong, a bad certificate for one.
        why: String,
    },
    /// What answers speaks no TLS.
    #[error("{address} does not speak TLS: {why}")]
    NoTls {
        /// Who answered.
        address: SocketAddr,
        /// What went wrong.
        why: String,
    },
    /// The conference request was answered, but not with yes.
    #[error("the conference request was answered with HTTP {status}{}", said(.body))]
    RequestRefused {
        /// HTTP status.
        status: u16,
        /// Whether the load balancer answered in the site's place.
        by_load_balancer: bool,
        /// The answer's first line.
        body: String,
    },
    /// Something other than jicofo answered the conference request.
    #[error("the answer to the conference request is not jicofo's: {0}")]
    RequestMisrouted(String),
    /// jicofo answered that the conference cannot start.
    #[error("jicofo is not ready: it could not join the room")]
    NotReady,
    /// jicofo, asked over XMPP, refused.
    #[error("{focus} refuses the conference request: {condition}")]
    FocusRefused {
        /// The address asked.
        focus: String,
        /// XMPP error condition.
        condition: String,
    },
    /// The WebSocket handshake was refused.
    #[error("the XMPP WebSocket was refused with HTTP {status}")]
    WebSocketRefused {
        /// HTTP status.
        status: u16,
        /// Whether the load balancer answered in the site's place.
        by_load_balancer: bool,
    },
    /// Prosody refused the log-in.
    #[error("Prosody refuses the log-in: {condition}{}", said(.text))]
    LogInRefused {
        /// SASL failure condition, `not-authorized`.
        condition: String,
        /// Prosody's explanation, may be empty.
        text: String,
    },
    /// Prosody offers no way to log in that fits.
    #[error("Prosody offers no suitable log-in: it has {offered}, {wanted} is needed")]
    NoMechanism {
        /// What it offers.
        offered: String,
        /// What would do.
        wanted: &'static str,
    },
    /// The room let a participant not in.
    #[error("the room refuses a participant: {condition}{}", said(.text))]
    JoinRefused {
        /// XMPP error condition.
        condition: String,
        /// Prosody's explanation, may be empty.
        text: String,
    },
    /// A participant was removed from the room.
    #[error("a participant was removed from the room{}", said(.0))]
    Removed(String),
    /// jicofo says that no bridge is available.
    #[error("jicofo offers no bridge")]
    NoBridge,
    /// jicofo says nothing.
    #[error("jicofo offers no bridge: no offer within {limit:?}")]
    NoOffer {
        /// How long it was given.
        limit: Duration,
    },
    /// jicofo's offer cannot be read, or lacks something.
    #[error("jicofo's offer does not do: {0}")]
    BadOffer(String),
    /// The bridge has no address to offer.
    #[error("the offer carries no address{}", wrong(*.mapping))]
    NoCandidate {
        /// The mapping as it ought to be, if known.
        mapping: Option<Mapping>,
    },
    /// The bridge offers other addresses than it must.
    #[error("the offer carries {} but not {}: the mapping is wrong", list(.offered), .mapping.public)]
    WrongCandidate {
        /// The mapping as it ought to be.
        mapping: Mapping,
        /// What was offered.
        offered: Vec<SocketAddr>,
    },
    /// The bridge cannot be reached.
    #[error("{} does not answer: security group, network ACL or firewall", ports(.addresses))]
    NoMedia {
        /// The addresses that did not answer.
        addresses: Vec<SocketAddr>,
    },
    /// A visitor whose network drops UDP has no media.
    #[error("a visitor whose network drops UDP joins, but hears and sees nobody: {}", relayed(.relays))]
    UdpBlocked {
        /// The relays (TURN over TCP or TLS) the site names: `turns:meet.example.com:443`.
        relays: Vec<String>,
    },
    /// The bridge's machine answers that nobody listens.
    #[error("{} is closed: the bridge does not listen there", port(.address))]
    PortClosed {
        /// The address asked.
        address: SocketAddr,
    },
    /// A STUN server answers, but it does not know the bridge's password.
    #[error("{} answers, but is not this bridge: {why}", port(.address))]
    Impostor {
        /// The address asked.
        address: SocketAddr,
        /// What is wrong with the answer.
        why: String,
    },
    /// jicofo does not take the answer to its offer.
    #[error("jicofo refuses a participant's answer to its offer: {condition}{}", said(.text))]
    AcceptRefused {
        /// XMPP error condition.
        condition: String,
        /// jicofo's explanation, may be empty.
        text: String,
    },
    /// The bridge answers checks, but never agrees on a path.
    #[error("{} answers, but the bridge never settles on a path for media (ICE)", port(.address))]
    NoPath {
        /// The address asked.
        address: SocketAddr,
    },
    /// DTLS does not come about.
    #[error("the bridge is reached, but does not agree on encryption (DTLS)")]
    NoEncryption,
    /// Somebody other than the offered bridge encrypts.
    #[error("the bridge shows a certificate other than the one it offered: {shown}, not {offered}")]
    WrongFingerprint {
        /// What jicofo's offer says.
        offered: String,
        /// What the bridge's certificate has.
        shown: String,
    },
    /// SCTP or the channel on it does not come about.
    #[error("media is encrypted, but the bridge's channel does not open (SCTP)")]
    NoChannel,
    /// The channel is open, and nobody answers on it.
    #[error("the bridge's channel is open, but the bridge does not answer on it")]
    ChannelSilent,
    /// Not one packet comes through.
    #[error("{} through the bridge: none of {spoken} audio packets arrives", unheard(*.deaf, *.of))]
    NoAudio {
        /// Participants who hear nothing.
        deaf: usize,
        /// Participants.
        of: usize,
        /// Packets each of them sent.
        spoken: usize,
    },
    /// So much is lost that nobody would understand.
    #[error("of {sent} audio packets through the bridge {lost} are lost")]
    Choppy {
        /// Packets sent since the first that arrived.
        sent: usize,
        /// Those that did not.
        lost: usize,
    },
    /// The protocols of media fell out with the bridge's.
    #[error("the call with the bridge failed: {0}")]
    BrokenCall(String),
    /// Nobody answered in time.
    #[error("{whom} does not answer within {limit:?}")]
    Silence {
        /// Who was asked what: `jicofo, asked for a conference,`.
        whom: String,
        /// How long it was given.
        limit: Duration,
    },
    /// The site sends more than any Jitsi site does.
    #[error("the site sends more than a Jitsi site does: over {0}")]
    TooMuch(String),
    /// The connection to Prosody ended, or what it sent makes no sense.
    #[error("the connection to Prosody failed: {0}")]
    Disconnected(String),
    /// The steps were each within their limits, all of them together were not.
    #[error("the whole probe took longer than {limit:?}, during: {step}")]
    TooLong {
        /// The step that was interrupted.
        step: StepName,
        /// [`crate::Limits::total`].
        limit: Duration,
    },
}

impl Failure {
    /// What to look at, where the words of the failure itself do not tell.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Resolve { .. } => "the domain's record must point to the load balancer",
            Self::Connect { .. } => {
                "nothing listens at this address and port, or a firewall or security group on the way refuses"
            }
            Self::NoTls { .. } => {
                "is this the port for HTTPS, 443? What listens there speaks something else, or hangs up"
            }
            Self::Silence { whom, .. } if whom == SITE => {
                "a firewall or security group drops what is sent, or what listens there waits for something \
                 other than TLS: is this the port for HTTPS, 443?"
            }
            Self::Tls { .. } => {
                "the certificate must name the domain, be valid today, and come from an authority \
                 this machine trusts"
            }
            Self::RequestRefused { by_load_balancer: true, .. }
            | Self::WebSocketRefused { by_load_balancer: true, .. } => {
                "the load balancer has no healthy target, or its target does not answer"
            }
            Self::RequestRefused { status: 403, .. } => {
                "jicofo wants authentication: probe with an account"
            }
            Self::RequestRefused { status: 404, .. } | Self::RequestMisrouted(_) => {
                "nginx must pass /conference-request/v1 to jicofo (127.0.0.1:8888); where accounts open \
                 rooms there is no such way: probe with an account"
            }
            Self::RequestRefused { status: 502..=504, .. } => {
                "jicofo does not run or does not answer"
            }
            Self::NotReady | Self::FocusRefused { .. } => {
                "is jicofo logged in to Prosody? See its log for `not-authorized`"
            }
            Self::WebSocketRefused { status: 502..=504, .. } => {
                "Prosody does not run or does not answer"
            }
            Self::WebSocketRefused { .. } => {
                "nginx must pass /xmpp-websocket to Prosody with the public Host, and Prosody must \
                 load `websocket`"
            }
            Self::LogInRefused { .. } => {
                "for tokens: app_id, app_secret and the clock; for accounts: the password"
            }
            Self::JoinRefused { .. } => "is there a lobby, a member list or a limit of occupants?",
            Self::NoBridge | Self::NoOffer { .. } => {
                "is jitsi-videobridge2 running, in its brewery room (mucs_joined 1), not shutting \
                 down, and does its password fit?"
            }
            Self::UdpBlocked { .. } => {
                "what helps such a visitor is another network or a VPN; where only two are in the room, \
                 they may still reach each other directly (peer to peer)"
            }
            Self::NoCandidate { .. } | Self::WrongCandidate { .. } => {
                "static-mappings in jvb.conf must name an address that is on an interface, and the \
                 public address of today; restart the bridge after a change"
            }
            Self::NoPath { .. } | Self::NoEncryption | Self::BrokenCall(_) => {
                "jicofo or the bridge is overloaded or stuck: see the bridge's log for this time; \
                 restarting it ends the meetings on it"
            }
            Self::WrongFingerprint { .. } => {
                "somebody between here and the bridge reads along, or another bridge answers at its \
                 address"
            }
            Self::NoChannel | Self::ChannelSilent => {
                "people hear each other, but see no video: is `videobridge.sctp.enabled` true, and \
                 does the bridge's log say that its SCTP library (dcsctp) was loaded?"
            }
            Self::NoAudio { .. } => {
                "the bridge forwards nothing: see its log for this time; restarting it ends the \
                 meetings on it"
            }
            Self::Choppy { .. } => {
                "the way to the bridge or the bridge itself is overloaded: see its stress level, CPU \
                 and network"
            }
            Self::TooMuch(_) => {
                "something other than Jitsi seems to answer for the domain: see where its DNS record leads"
            }
            Self::Impostor { .. } => "another program holds the bridge's UDP port",
            _ => return None,
        })
    }
}

fn relayed(relays: &[String]) -> String {
    if relays.is_empty() {
        "the bridge speaks UDP only, and the site has no relay (TURN)".to_owned()
    } else {
        format!("the bridge speaks UDP only; the relay is not tried here ({})", relays.join(", "))
    }
}

fn unheard(deaf: usize, of: usize) -> &'static str {
    if deaf < of {
        "one participant does not hear the other"
    } else {
        "the participants do not hear each other"
    }
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

fn wrong(mapping: Option<Mapping>) -> String {
    mapping.map_or_else(
        || ": the bridge's address mapping is wrong".to_owned(),
        |Mapping { local, public }| format!(": the mapping {local} → {public} is wrong"),
    )
}

fn port(address: &SocketAddr) -> String {
    format!("{} udp/{}", address.ip(), address.port())
}

fn ports(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(port).collect::<Vec<_>>().join(", ")
}

fn list(addresses: &[SocketAddr]) -> String {
    let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_in_the_operators_words() {
        let mapping = Mapping { local: [10, 0, 3, 7].into(), public: [3, 68, 1, 2].into() };
        assert_eq!(
            Failure::NoCandidate { mapping: Some(mapping) }.to_string(),
            "the offer carries no address: the mapping 10.0.3.7 → 3.68.1.2 is wrong"
        );
        assert_eq!(
            Failure::NoMedia { addresses: vec![([3, 68, 1, 2], 10000).into()] }.to_string(),
            "3.68.1.2 udp/10000 does not answer: security group, network ACL or firewall"
        );
        assert_eq!(Failure::NoBridge.to_string(), "jicofo offers no bridge");
        let refused =
            Failure::RequestRefused { status: 503, by_load_balancer: true, body: String::new() };
        assert!(refused.hint().is_some_and(|hint| hint.contains("no healthy target")));
    }
}
