//! The site's bridge: it checks who knows its passwords, encrypts, greets and forwards like JVB, and can
//! be told to fail at each of these.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meeting_probe::crypto_provider;
use minidom::Element;
use str0m::config::Fingerprint;
use str0m::media::MediaKind;
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};
use stun_types::attribute::{Username, XorMappedAddress};
use stun_types::message::{
    IntegrityAlgorithm, Message as Stun, MessageWrite, MessageWriteExt, MessageWriteVec,
    ShortTermCredentials,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What the bridge cannot do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Broken {
    #[default]
    Nothing,
    /// It answers nobody.
    Deaf,
    /// It signs with another password.
    Impostor,
    /// It answers checks, and sends none.
    Path,
    /// DTLS datagrams are lost.
    Encryption,
    /// Its certificate is not the offered one.
    Identity,
    /// SCTP never comes about.
    Channel,
    /// The channel opens, nobody answers.
    Greeting,
    /// It forwards nothing.
    Forwarding,
    /// What the first participant says is not forwarded.
    OneDirection,
    /// Three of four packets are lost.
    Network,
    /// Every tenth packet is lost.
    SomePackets,
}

/// The fingerprint of a certificate nobody has.
const STRANGER: &str = "E1:9F:6C:D1:8E:11:56:88:B1:AE:13:F1:28:A3:C0:36:6B:CE:44:35:0C:64:F6:CC:BB:CB:B7:D4:6B:90:B6:8B";

/// One participant's side of the bridge, for an offer.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    pub(crate) fingerprint: String,
}

#[derive(Clone)]
pub(crate) struct Bridge {
    pub(crate) address: SocketAddr,
    broken: Broken,
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    /// Whoever knows the password of this name is answered.
    Invite { ufrag: String, pwd: String },
    /// Somebody accepted.
    Accept(Box<Rtc>),
}

impl Bridge {
    pub(crate) async fn start(broken: Broken) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (orders, received) = mpsc::unbounded_channel();
        let passwords = HashMap::new();
        let endpoints = Vec::new();
        tokio::spawn(
            Forwarder { socket, address, broken, orders: received, passwords, endpoints }.run(),
        );
        Self { address, broken, orders }
    }

    /// What to offer one participant.
    pub(crate) fn invite(&self) -> (Endpoint, Box<Rtc>) {
        let config = RtcConfig::new()
            .set_crypto_provider(Arc::new(crypto_provider()))
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .set_extension(1, Extension::AudioLevel);
        let mut rtc = config.build(Instant::now());
        let candidate = Candidate::host(self.address, Protocol::Udp).unwrap();
        rtc.add_local_candidate(candidate);
        let mut api = rtc.direct_api();
        api.set_ice_controlling(true);
        let IceCreds { ufrag, pass: pwd } = api.local_ice_credentials();
        self.orders.send(Order::Invite { ufrag: ufrag.clone(), pwd: pwd.clone() }).unwrap();
        let own = api.local_dtls_fingerprint().to_string();
        let own = own.strip_prefix("sha-256 ").unwrap();
        let stranger = self.broken == Broken::Identity;
        let fingerprint = if stranger { STRANGER } else { own }.to_owned();
        (Endpoint { ufrag, pwd, fingerprint }, Box::new(rtc))
    }

    /// Meets who answered the offer so.
    pub(crate) fn accept(&self, mut rtc: Box<Rtc>, jingle: &Element) {
        let all = |name: &str| find(jingle, name);
        let transport = all("transport");
        let fingerprint = all("fingerprint");
        let remote: Fingerprint = format!("sha-256 {}", fingerprint.text()).parse().unwrap();
        let attr = |name: &str| transport.attr(name).unwrap().to_owned();
        let candidate = all("candidate");
        let peer = format!("{}:{}", candidate.attr("ip").unwrap(), candidate.attr("port").unwrap());
        let ssrc: u32 = all("source").attr("ssrc").unwrap().parse().unwrap();
        let peer = peer.parse().unwrap();
        rtc.add_remote_candidate(Candidate::host(peer, Protocol::Udp).unwrap());
        let mut api = rtc.direct_api();
        api.set_remote_ice_credentials(IceCreds { ufrag: attr("ufrag"), pass: attr("pwd") });
        api.set_remote_fingerprint(remote);
        api.start_dtls(fingerprint.attr("setup") == Some("passive")).unwrap();
        api.start_sctp(false);
        api.declare_media("audio".into(), MediaKind::Audio);
        api.expect_stream_rx(ssrc.into(), None, "audio".into(), None);
        if self.broken != Broken::Path {
            self.orders.send(Order::Accept(rtc)).unwrap();
        }
    }
}

fn find<'a>(element: &'a Element, name: &str) -> &'a Element {
    fn search<'a>(element: &'a Element, name: &str) -> Option<&'a Element> {
        if element.name() == name {
            return Some(element);
        }
        element.children().find_map(|child| search(child, name))
    }
    search(element, name).unwrap_or_else(|| panic!("no {name}"))
}

struct Forwarder {
    socket: UdpSocket,
    address: SocketAddr,
    broken: Broken,
    orders: mpsc::UnboundedReceiver<Order>,
    passwords: HashMap<String, String>,
    endpoints: Vec<Rtc>,
}

impl Forwarder {
    async fn run(mut self) {
        let mut buffer = [0; 2000];
        loop {
            self.flush().await;
            let pause = Duration::from_millis(5);
            let received = timeout(pause, self.socket.recv_from(&mut buffer)).await;
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Invite { ufrag, pwd } => drop(self.passwords.insert(ufrag, pwd)),
                    Order::Accept(rtc) => self.endpoints.push(*rtc),
                }
            }
            if let Ok(Ok((length, from))) = received {
                self.received(&buffer[..length], from).await;
            }
            for rtc in &mut self.endpoints {
                let _ = rtc.handle_input(Input::Timeout(Instant::now()));
            }
        }
    }

    async fn received(&mut self, datagram: &[u8], from: SocketAddr) {
        let is_dtls = (20..64).contains(&datagram[0]);
        let lost = match self.broken {
            Broken::Deaf => true,
            Broken::Encryption => is_dtls,
            // Application data: under DTLS that is SCTP.
            Broken::Channel => datagram[0] == 23,
            _ => false,
        };
        if lost {
            return;
        }
        if let Ok(received) = Receive::new(Protocol::Udp, from, self.address, datagram) {
            let input = Input::Receive(Instant::now(), received);
            if let Some(rtc) = self.endpoints.iter_mut().find(|rtc| rtc.accepts(&input)) {
                let _ = rtc.handle_input(input);
                return;
            }
        }
        self.answer_check(datagram, from).await;
    }

    /// A check by somebody who has not accepted yet.
    async fn answer_check(&self, datagram: &[u8], from: SocketAddr) {
        let Ok(request) = Stun::from_bytes(datagram) else { return };
        let Ok(username) = request.attribute::<Username>() else { return };
        let ufrag = username.username().split(':').next().unwrap_or_default();
        let Some(password) = self.passwords.get(ufrag) else { return };
        let impostor = self.broken == Broken::Impostor;
        let password = if impostor { "another's" } else { password };
        let mut answer = Stun::builder_success(&request, MessageWriteVec::new());
        answer.add_attribute(&XorMappedAddress::new(from, request.transaction_id())).unwrap();
        let credentials = ShortTermCredentials::new(password.into()).into();
        answer.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        answer.add_fingerprint().unwrap();
        self.socket.send_to(&answer.finish(), from).await.unwrap();
    }

    async fn flush(&mut self) {
        let mut packets = Vec::new();
        for (index, rtc) in self.endpoints.iter_mut().enumerate() {
            loop {
                match rtc.poll_output() {
                    Ok(Output::Timeout(_)) | Err(_) => break,
                    Ok(Output::Transmit(datagram)) => {
                        let content = &datagram.contents;
                        let is_dtls = (20..64).contains(&content[0]);
                        if !(is_dtls && self.broken == Broken::Encryption) {
                            let _ = self.socket.send_to(content, datagram.destination).await;
                        }
                    }
                    Ok(Output::Event(Event::ChannelData(data))) => {
                        assert_eq!(data.data, br#"{"colibriClass":"ClientHello"}"#);
                        if self.broken != Broken::Greeting {
                            let hello = br#"{"colibriClass":"ServerHello","version":"2.3.7"}"#;
                            rtc.channel(data.id).unwrap().write(false, hello).unwrap();
                        }
                    }
                    Ok(Output::Event(Event::RtpPacket(packet))) => packets.push((index, packet)),
                    Ok(Output::Event(_)) => {}
                }
            }
        }
        for (from, packet) in packets {
            let number = *packet.seq_no;
            let lost = match self.broken {
                Broken::Forwarding => true,
                Broken::OneDirection => from == 0,
                Broken::Network => number % 4 != 0,
                Broken::SomePackets => number % 10 == 5,
                _ => false,
            };
            if !lost {
                self.forward(from, &packet);
            }
        }
    }

    fn forward(&mut self, from: usize, packet: &RtpPacket) {
        let others = self.endpoints.iter_mut().enumerate().filter(|(index, _)| *index != from);
        for (_, rtc) in others {
            let header = &packet.header;
            let mut api = rtc.direct_api();
            let stream = api.declare_stream_tx(header.ssrc, None, "audio".into(), None);
            stream.write_rtp(
                RtpWrite::new(
                    header.payload_type,
                    packet.seq_no,
                    header.timestamp,
                    packet.timestamp,
                    Arc::clone(&packet.payload),
                )
                .ext_vals(header.ext_vals.clone()),
            );
        }
    }
}
