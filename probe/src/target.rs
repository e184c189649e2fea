//! What to probe: the site, the way to it, how to log in, and how long to wait.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// One Jitsi site and the way to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Public host name: TLS server name, `Host` header and XMPP domain.
    pub domain: String,
    /// `HOST:PORT` to connect to instead of `domain:443`. `Host` and the TLS server name stay
    /// `domain`, so the agent can ask its own nginx and the deployer one particular load balancer.
    pub connect: Option<String>,
    /// How the server's certificate is judged.
    pub tls: Tls,
    /// How the participants log in.
    pub auth: Auth,
    /// Address of the conference rooms, `conference.{domain}` unless the site says otherwise.
    pub muc_domain: String,
    /// Where conferences are requested over XMPP, `focus.{domain}`. Only used with
    /// [`Auth::Account`]: jicofo then must know who asks, which the HTTP request cannot tell it.
    pub focus: String,
    /// The instance's addresses, if known: they turn "no answer" into "this mapping is wrong".
    pub mapping: Option<Mapping>,
    /// Whether the participants' network drops UDP: they send none, and ask the site for a relay instead.
    pub udp_blocked: bool,
    /// How far the participants go.
    pub depth: Depth,
    /// How long each step may take.
    pub limits: Limits,
}

/// How far the participants go to call it a meeting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// The bridge answers checks at the addresses it offers.
    #[default]
    Reached,
    /// The participants hear each other through it.
    #[cfg(feature = "call")]
    Heard,
}

/// How the server's certificate is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Against the machine's trust store (`SSL_CERT_FILE` is honoured), as a browser does.
    #[default]
    Verify,
    /// Any certificate is good: for the agent, whose own nginx has a self-signed one.
    AcceptAny,
}

/// How the participants log in.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// SASL ANONYMOUS: a site on which anybody may start a meeting.
    #[default]
    Anonymous,
    /// An account on the site (secure domain).
    Account {
        /// User name without the domain.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A JSON Web Token (HS256) minted for each probe: good for its room only, for minutes only.
    Token {
        /// The site's `app_id`: the token's `iss` and `aud`.
        app_id: String,
        /// The site's `app_secret`, which signs the token.
        app_secret: Secret,
    },
}

/// A text that must not appear in logs: `Debug` hides it.
#[derive(Clone)]
pub struct Secret(String);

/// The bridge's address mapping as it ought to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The instance's private address.
    pub local: IpAddr,
    /// The public address the bridge must advertise.
    pub public: IpAddr,
}

/// How long each step may take, and all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Name look-up.
    pub resolve: Duration,
    /// TCP connection and TLS handshake.
    pub connect: Duration,
    /// jicofo's answer to the conference request; it joins the room first.
    pub conference_request: Duration,
    /// WebSocket handshake and log-in of both participants.
    pub log_in: Duration,
    /// Joining the room.
    pub join: Duration,
    /// From the second participant's arrival to both offers. The first one after a start takes
    /// about 3 s (the Java programs warm up).
    pub offer: Duration,
    /// STUN answers, with retransmissions.
    pub media: Duration,
    /// jicofo's answer to both acceptances.
    pub accept: Duration,
    /// ICE and DTLS with the bridge.
    pub encryption: Duration,
    /// Until the bridge has answered on its channel.
    pub bridge_channel: Duration,
    /// Until both participants were heard for half a second.
    pub audio: Duration,
    /// Leaving; what is not done by then is left to the closing connection.
    pub leave: Duration,
    /// Everything before leaving.
    pub total: Duration,
}

impl Target {
    /// A site that is reached as users reach it, open to anybody, with default limits.
    pub fn new(domain: impl Into<String>) -> Self {
        let domain = domain.into();
        Self {
            connect: None,
            tls: Tls::default(),
            auth: Auth::default(),
            muc_domain: format!("conference.{domain}"),
            focus: format!("focus.{domain}"),
            mapping: None,
            udp_blocked: false,
            depth: Depth::default(),
            limits: Limits::default(),
            domain,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            resolve: seconds(5),
            connect: seconds(5),
            conference_request: seconds(10),
            log_in: seconds(10),
            join: seconds(5),
            offer: seconds(15),
            media: seconds(3),
            accept: seconds(5),
            encryption: seconds(10),
            bridge_channel: seconds(5),
            audio: seconds(5),
            leave: seconds(1),
            total: seconds(40),
        }
    }
}

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
