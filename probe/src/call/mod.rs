//! The media of a meeting: each participant's ICE, DTLS-SRTP and SCTP with the bridge, on a socket of
//! its own. `str0m` holds the protocols' states; this feeds it datagrams and time.

mod cipher;
mod dtls;
mod talk;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::select_all;
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::Fingerprint;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap, RtpPacket};
use str0m::{Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

pub use dtls::provider as crypto_provider;
pub(crate) use talk::talk;

use crate::failure::Failure;
use crate::offer::{Media, Offer};

/// Largest datagram worth reading: both sides stay below any MTU.
const DATAGRAM: usize = 2000;

/// What lib-jitsi-meet's `BridgeChannel.ts` calls the channel, and the protocol on it.
const CHANNEL: (&str, &str) = ("JVB data channel", "http://jitsi.org/protocols/colibri");

/// Asks the bridge for `ServerHello` (JVB, `EndpointMessageTransport.java`).
const CLIENT_HELLO: &[u8] = br#"{"colibriClass":"ClientHello"}"#;

/// One participant's media transport.
pub(crate) struct Call {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    bridge: SocketAddr,
    media: Media,
    ssrc: u32,
    heard: Heard,
}

/// What the bridge sent so far.
#[derive(Default)]
struct Heard {
    connected: bool,
    encrypted: bool,
    channel: Option<ChannelId>,
    channel_open: bool,
    hello: Option<String>,
    packets: Vec<RtpPacket>,
}

/// How a participant answers an offer: what jicofo must tell the bridge of it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    /// `AB:CD:…`, of SHA-256.
    pub(crate) fingerprint: String,
    /// The participant's own address.
    pub(crate) candidate: SocketAddr,
    /// The RTP source it will speak with.
    pub(crate) ssrc: u32,
}

/// Prepares both participants' calls to `bridge`: one speaks as `ssrcs[0]` and expects `ssrcs[1]`,
/// the other the other way round.
pub(crate) async fn prepare(
    offers: &[Offer],
    bridge: SocketAddr,
    ssrcs: [u32; 2],
) -> Result<Vec<Call>, Failure> {
    let mut calls = Vec::with_capacity(offers.len());
    for (offer, [own, other]) in offers.iter().zip([ssrcs, [ssrcs[1], ssrcs[0]]]) {
        calls.push(Call::new(offer, bridge, own, other).await?);
    }
    Ok(calls)
}

/// Drives ICE and DTLS to their end. The bridge must be whom jicofo's offer says it is.
pub(crate) async fn encrypt(
    calls: &mut [Call],
    deadline: tokio::time::Instant,
) -> Result<(), Failure> {
    let done = drive(calls, deadline.into_std(), |call| call.heard.encrypted).await?;
    for call in calls {
        if call.heard.encrypted {
            call.check_identity()?;
        } else if call.heard.connected {
            return Err(Failure::NoEncryption);
        } else {
            return Err(Failure::NoPath { address: call.bridge });
        }
    }
    debug_assert!(done, "each call was judged");
    Ok(())
}

/// Waits until the bridge has answered both on their channels; tells what it calls itself.
pub(crate) async fn greet(
    calls: &mut [Call],
    deadline: tokio::time::Instant,
) -> Result<String, Failure> {
    let deadline = deadline.into_std();
    if !drive(calls, deadline, |call| call.heard.channel_open).await? {
        return Err(Failure::NoChannel);
    }
    for call in calls.iter_mut() {
        if let Some(mut channel) = call.heard.channel.and_then(|id| call.rtc.channel(id)) {
            channel.write(false, CLIENT_HELLO).map_err(|_| Failure::NoChannel)?;
        }
    }
    if !drive(calls, deadline, |call| call.heard.hello.is_some()).await? {
        return Err(Failure::ChannelSilent);
    }
    Ok(calls.iter().find_map(|call| call.heard.hello.clone()).unwrap_or_default())
}

/// Feeds all calls until each is `done`, or until `until`. Whether each was done.
async fn drive(
    calls: &mut [Call],
    until: Instant,
    done: impl Fn(&Call) -> bool,
) -> Result<bool, Failure> {
    loop {
        let mut wake = until;
        for call in calls.iter_mut() {
            wake = wake.min(call.flush().await?);
        }
        if calls.iter().all(&done) {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        let readable = select_all(calls.iter().map(|call| Box::pin(call.socket.readable())));
        let received = timeout_at(wake.into(), readable).await.is_ok();
        for call in calls.iter_mut() {
            if received {
                call.read().await?;
            }
            call.input(Input::Timeout(Instant::now()))?;
        }
    }
}

impl Call {
    async fn new(offer: &Offer, bridge: SocketAddr, own: u32, other: u32) -> Result<Self, Failure> {
        let setup = |why: String| Failure::Setup(format!("preparing a call: {why}"));
        let io = |e: io::Error| setup(e.to_string());
        let media = offer.media.clone()?;
        // Connected: it hears only the bridge, and has the address that leads there.
        let any: IpAddr = match bridge {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await.map_err(io)?;
        socket.connect(bridge).await.map_err(io)?;
        let local = socket.local_addr().map_err(io)?;

        let mut extensions = ExtensionMap::empty();
        if let Some(id) = media.audio_level_id {
            extensions.set(id, Extension::AudioLevel);
        }
        let now = Instant::now();
        let mut config = RtcConfig::new()
            .set_crypto_provider(Arc::new(crypto_provider()))
            // Judged here, so that a wrong one is told as such.
            .set_fingerprint_verification(false)
            .set_rtp_mode(true)
            .clear_codecs()
            .set_extension_map(extensions);
        config.codec_config().add_config(
            media.opus.into(),
            None,
            Codec::Opus,
            Frequency::FORTY_EIGHT_KHZ,
            Some(2),
            FormatParams::default(),
        );
        let mut rtc = config.build(now);

        let ice = |e: str0m::error::IceError| setup(e.to_string());
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).map_err(ice)?);
        rtc.add_remote_candidate(Candidate::host(bridge, Protocol::Udp).map_err(ice)?);
        let mut api = rtc.direct_api();
        // jicofo lets the bridge control.
        api.set_ice_controlling(false);
        let (ufrag, pass) = (offer.ufrag.clone(), offer.pwd.clone());
        api.set_remote_ice_credentials(IceCreds { ufrag, pass });
        let expected = format!("sha-256 {}", media.fingerprint).parse().map_err(setup)?;
        api.set_remote_fingerprint(expected);
        // The bridge offers both roles. It insists on RFC 5746 from clients (Bouncy Castle), which
        // `dimpl` speaks as a server only.
        api.start_dtls(false).map_err(|e| setup(e.to_string()))?;
        api.start_sctp(true);
        let (label, protocol) = CHANNEL;
        let channel = api.create_data_channel(ChannelConfig {
            label: label.to_owned(),
            protocol: protocol.to_owned(),
            ..ChannelConfig::default()
        });
        let mid = Mid::from("audio");
        api.declare_media(mid, MediaKind::Audio);
        api.declare_stream_tx(own.into(), None, mid, None);
        api.expect_stream_rx(other.into(), None, mid, None);
        let heard = Heard { channel: Some(channel), ..Heard::default() };
        Ok(Self { rtc, socket, local, bridge, media, ssrc: own, heard })
    }

    /// What to tell jicofo.
    pub(crate) fn answer(&mut self) -> Answer {
        let api = self.rtc.direct_api();
        let IceCreds { ufrag, pass: pwd } = api.local_ice_credentials();
        let fingerprint = digits(api.local_dtls_fingerprint());
        Answer { ufrag, pwd, fingerprint, candidate: self.local, ssrc: self.ssrc }
    }

    fn check_identity(&mut self) -> Result<(), Failure> {
        let shown = self.rtc.direct_api().remote_dtls_fingerprint().map(digits).unwrap_or_default();
        let offered = self.media.fingerprint.clone();
        if shown == offered { Ok(()) } else { Err(Failure::WrongFingerprint { offered, shown }) }
    }

    /// Sends what is due and notes what happened; tells when there is more to do.
    async fn flush(&mut self) -> Result<Instant, Failure> {
        loop {
            match self.rtc.poll_output().map_err(|e| broken(&e))? {
                Output::Timeout(at) => return Ok(at),
                // Lost like any datagram: a full queue, a local firewall, a port that is closed.
                Output::Transmit(datagram) => drop(self.socket.send(&datagram.contents).await),
                Output::Event(event) => self.heed(event),
            }
        }
    }

    fn heed(&mut self, event: Event) {
        match event {
            Event::IceConnectionStateChange(
                IceConnectionState::Connected | IceConnectionState::Completed,
            ) => self.heard.connected = true,
            Event::Connected => self.heard.encrypted = true,
            Event::ChannelOpen(..) => self.heard.channel_open = true,
            Event::ChannelData(data) => {
                if let Some(version) = server_hello(&data.data) {
                    self.heard.hello = Some(version);
                }
            }
            Event::RtpPacket(packet) => self.heard.packets.push(packet),
            _ => {}
        }
    }

    /// Takes in all datagrams that are there.
    async fn read(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; DATAGRAM];
        loop {
            // Nothing more, or "port unreachable": what was sent is lost, and sent again.
            let Ok(length) = self.socket.try_recv(&mut buffer) else { return Ok(()) };
            // What is neither STUN, DTLS nor RTP is nobody's.
            if let Ok(received) =
                Receive::new(Protocol::Udp, self.bridge, self.local, &buffer[..length])
            {
                self.input(Input::Receive(Instant::now(), received))?;
                self.flush().await?;
            }
        }
    }

    fn input(&mut self, input: Input<'_>) -> Result<(), Failure> {
        self.rtc.handle_input(input).map_err(|e| broken(&e))
    }
}

/// `AB:CD:…`.
fn digits(fingerprint: &Fingerprint) -> String {
    let printed = fingerprint.to_string();
    printed.split(' ').next_back().unwrap_or_default().to_owned()
}

/// What the bridge says it is, if `message` is its `ServerHello`; the version may be kept secret.
fn server_hello(message: &[u8]) -> Option<String> {
    let message: serde_json::Value = serde_json::from_slice(message).ok()?;
    if message.get("colibriClass")?.as_str() != Some("ServerHello") {
        return None;
    }
    let version = message.get("version").and_then(|version| version.as_str());
    Some(version.unwrap_or("no version").to_owned())
}

fn broken(error: &str0m::RtcError) -> Failure {
    Failure::BrokenCall(error.to_string())
}
