//! A site in one task: TLS, the conference request, XMPP streams and a bridge, each of which
//! can be told to fail. It says what Prosody, jicofo and JVB say, in their order.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use minidom::Element;
use stun_types::message::{
    IntegrityAlgorithm, Message as Stun, MessageWrite, MessageWriteExt, MessageWriteVec,
    ShortTermCredentials,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

pub(crate) const DOMAIN: &str = "meet.example.com";
const OFFER: &str = include_str!("../data/session-initiate.xml");
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// What goes how.
#[derive(Clone)]
pub(crate) struct Script {
    /// The whole HTTP answer to the conference request; `None`: never.
    pub(crate) request: Option<String>,
    /// The WebSocket handshake's status if it is refused.
    pub(crate) websocket: Option<u16>,
    pub(crate) mechanisms: &'static str,
    /// A SASL failure, if the log-in is refused.
    pub(crate) log_in: Option<&'static str>,
    /// The error of the joining presence, if it is refused.
    pub(crate) join: Option<&'static str>,
    pub(crate) offer: Offer,
    /// The password the bridge signs with; `None`: it is silent.
    pub(crate) bridge: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Offer {
    Full,
    WithoutCandidate,
    BridgeNotAvailable,
    Never,
    Kick,
    Close,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            request: Some(ok(r#"{"ready":true,"focusJid":"focus@auth.meet.example.com"}"#)),
            websocket: None,
            mechanisms: "<mechanism>ANONYMOUS</mechanism>",
            log_in: None,
            join: None,
            offer: Offer::Full,
            bridge: Some("3t4rc92bqrh5dk24usnejn7uha"),
        }
    }
}

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What the probe did.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) heads: Vec<String>,
    pub(crate) bodies: Vec<String>,
    pub(crate) stanzas: Vec<Element>,
    pub(crate) open: usize,
}

impl Seen {
    pub(crate) fn presences(&self, kind: Option<&str>) -> usize {
        self.stanzas.iter().filter(|s| s.name() == "presence" && s.attr("type") == kind).count()
    }
}

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) bridge: SocketAddr,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

/// Starts a site that goes by `script`.
pub(crate) async fn start(script: Script) -> Site {
    let certified = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![certified.cert.der().clone()],
        certified.signing_key.serialize_der().try_into().unwrap(),
    )
    .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let site = Site {
        address: listener.local_addr().unwrap(),
        bridge: socket.local_addr().unwrap(),
        seen: Arc::default(),
    };
    tokio::spawn(answer_checks(socket, script.bridge));
    let (seen, bridge) = (Arc::clone(&site.seen), site.bridge);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, script, seen) = (acceptor.clone(), script.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    serve(tls, script, seen, bridge).await;
                }
            });
        }
    });
    site
}

async fn answer_checks(socket: UdpSocket, password: Option<&str>) {
    let mut buffer = [0; 1500];
    while let (Ok((length, from)), Some(password)) = (socket.recv_from(&mut buffer).await, password)
    {
        let request = Stun::from_bytes(&buffer[..length]).unwrap();
        let mut answer = Stun::builder_success(&request, MessageWriteVec::new());
        let credentials = ShortTermCredentials::new(password.into()).into();
        answer.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        answer.add_fingerprint().unwrap();
        socket.send_to(&answer.finish(), from).await.unwrap();
    }
    std::future::pending::<()>().await;
}

async fn serve(
    mut tls: TlsStream<TcpStream>,
    script: Script,
    seen: Arc<Mutex<Seen>>,
    bridge: SocketAddr,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match tls.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    seen.lock().unwrap().heads.push(head.clone());
    if head.starts_with("POST") {
        let mut body = vec![0; header("content-length").unwrap().parse().unwrap()];
        tls.read_exact(&mut body).await.unwrap();
        seen.lock().unwrap().bodies.push(String::from_utf8(body).unwrap());
        match script.request {
            Some(answer) => tls.write_all(answer.as_bytes()).await.unwrap(),
            None => std::future::pending().await,
        }
        return;
    }
    if let Some(status) = script.websocket {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        tls.write_all(answer.as_bytes()).await.unwrap();
        return;
    }
    let accept = derive_accept_key(header("sec-websocket-key").unwrap().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
        header("sec-websocket-protocol").unwrap()
    );
    tls.write_all(answer.as_bytes()).await.unwrap();
    let socket = WebSocketStream::from_raw_socket(tls, Role::Server, None).await;
    seen.lock().unwrap().open += 1;
    Session { socket, script, seen: Arc::clone(&seen), bridge, authenticated: false }.run().await;
    seen.lock().unwrap().open -= 1;
}

struct Session {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    script: Script,
    seen: Arc<Mutex<Seen>>,
    bridge: SocketAddr,
    authenticated: bool,
}

impl Session {
    async fn run(mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            let Message::Text(text) = message else { continue };
            let element: Element = text.parse().unwrap();
            let answers = self.answers(&element);
            self.seen.lock().unwrap().stanzas.push(element);
            for answer in answers {
                if answer == "close" {
                    return;
                }
                if self.socket.send(Message::text(answer)).await.is_err() {
                    return;
                }
            }
        }
    }

    fn answers(&mut self, element: &Element) -> Vec<String> {
        let id = element.attr("id").unwrap_or_default();
        match element.name() {
            "open" => vec![
                format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='{DOMAIN}'/>"),
                self.features(),
            ],
            "auth" | "response" => self.authenticate(element),
            "close" => {
                vec!["<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>".into(), "close".into()]
            }
            "iq" if element.has_child("bind", "urn:ietf:params:xml:ns:xmpp-bind") => vec![format!(
                "<iq xmlns='jabber:client' type='result' id='{id}'>\
                 <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <jid>0123abcd-xyz@{DOMAIN}/r</jid></bind></iq>"
            )],
            "iq" if element.has_child("conference", "http://jitsi.org/protocol/focus") => {
                vec![format!(
                    "<iq xmlns='jabber:client' type='result' id='{id}'><conference \
                     xmlns='http://jitsi.org/protocol/focus' ready='true' session-id='s1' \
                     focusjid='focus@auth.{DOMAIN}'/></iq>"
                )]
            }
            "iq" if element.attr("type") == Some("set") => {
                vec![format!("<iq xmlns='jabber:client' type='result' id='{id}'/>")]
            }
            // The answer to jicofo's disco: now it makes its offer.
            "iq" if id == "disco" => self.offer(),
            "presence" if element.attr("type").is_none() => self.join(element),
            _ => Vec::new(),
        }
    }

    fn features(&self) -> String {
        let inner = if self.authenticated {
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>".into()
        } else {
            format!("<mechanisms xmlns='{SASL}'>{}</mechanisms>", self.script.mechanisms)
        };
        format!(
            "<stream:features xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns='jabber:client'>{inner}</stream:features>"
        )
    }

    fn authenticate(&mut self, element: &Element) -> Vec<String> {
        if let Some(condition) = self.script.log_in {
            return vec![format!("<failure xmlns='{SASL}'><{condition}/></failure>")];
        }
        if element.attr("mechanism") == Some("PLAIN") {
            let payload = BASE64_STANDARD.decode(element.text()).unwrap();
            assert_eq!(payload, b"\0probe\0secret");
        }
        self.authenticated = true;
        vec![format!("<success xmlns='{SASL}'/>")]
    }

    fn join(&self, presence: &Element) -> Vec<String> {
        let occupant = presence.attr("to").unwrap();
        let room = occupant.split('/').next().unwrap();
        if let Some(condition) = self.script.join {
            return vec![format!(
                "<presence xmlns='jabber:client' from='{occupant}' type='error'><error type='auth'>\
                 <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
            )];
        }
        vec![
            format!(
                "<presence xmlns='jabber:client' from='{room}/focus'>\
                 <x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/></x></presence>"
            ),
            format!(
                "<presence xmlns='jabber:client' from='{occupant}'>\
                 <x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>"
            ),
            format!(
                "<iq xmlns='jabber:client' from='{room}/focus' id='disco' type='get'>\
                 <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
            ),
        ]
    }

    fn offer(&self) -> Vec<String> {
        let address = format!("ip='{}'", self.bridge.ip());
        let port = format!("port='{}'", self.bridge.port());
        let full = OFFER.replace("ip='198.51.100.7'", &address).replace("port='10000'", &port);
        match self.script.offer {
            Offer::Full => vec![full],
            Offer::WithoutCandidate => vec![without_candidates(&full)],
            Offer::BridgeNotAvailable => vec![
                "<presence xmlns='jabber:client' from='r@m/focus'><bridge-not-available \
                 xmlns='http://jitsi.org/protocol/focus'/></presence>"
                    .into(),
            ],
            Offer::Kick => vec![
                "<presence xmlns='jabber:client' from='r@m/me' type='unavailable'>\
                 <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none'>\
                 <reason>full</reason></item><status code='110'/><status code='307'/></x></presence>"
                    .into(),
            ],
            Offer::Close => vec!["close".into()],
            Offer::Never => Vec::new(),
        }
    }
}

fn without_candidates(offer: &str) -> String {
    let mut parts = offer.split("<candidate ");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push_str(part.split_once("/>").unwrap().1);
    }
    text
}
