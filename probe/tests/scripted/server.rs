//! A site in one task: TLS, the conference request, XMPP streams and a bridge, each of which
//! can be told to fail. It says what Prosody, jicofo and JVB say, in their order.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use minidom::Element;
use str0m::Rtc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::bridge::{Bridge, Broken};

pub(crate) const DOMAIN: &str = "meet.example.com";
const OFFER: &str = include_str!("../data/session-initiate.xml");
/// The recorded bridge's.
const FINGERPRINT: &str = "E1:9F:6C:D1:8E:11:56:88:B1:AE:13:F1:28:A3:C0:36:6B:CE:44:35:0C:64:F6:CC:BB:CB:B7:D4:6B:90:B6:8B";
const JINGLE: &str = "urn:xmpp:jingle:1";
/// Stands for much that means nothing.
const FLOOD: &str = "flood";
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
    /// The answer to the question for relays; `@ID@` is its id.
    pub(crate) relays: &'static str,
    /// The error jicofo answers the acceptance with, if it does.
    pub(crate) accept: Option<&'static str>,
    pub(crate) bridge: Broken,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Offer {
    Full,
    WithoutCandidate,
    WithoutChannel,
    BridgeNotAvailable,
    Never,
    Kick,
    Close,
    Flood,
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
            relays: "<iq xmlns='jabber:client' type='error' id='@ID@'><error type='cancel'>\
                     <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
            accept: None,
            bridge: Broken::Nothing,
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
    let bridge = Bridge::start(script.bridge).await;
    let site = Site {
        address: listener.local_addr().unwrap(),
        bridge: bridge.address,
        seen: Arc::default(),
    };
    let seen = Arc::clone(&site.seen);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, script, seen) = (acceptor.clone(), script.clone(), Arc::clone(&seen));
            let bridge = bridge.clone();
            tokio::spawn(async move {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    serve(tls, script, seen, bridge).await;
                }
            });
        }
    });
    site
}

async fn serve(
    mut tls: TlsStream<TcpStream>,
    script: Script,
    seen: Arc<Mutex<Seen>>,
    bridge: Bridge,
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
    let seen_by = Arc::clone(&seen);
    Session { socket, script, seen: seen_by, bridge, call: None, authenticated: false }.run().await;
    seen.lock().unwrap().open -= 1;
}

struct Session {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    script: Script,
    seen: Arc<Mutex<Seen>>,
    bridge: Bridge,
    /// The bridge's side of the call that was offered.
    call: Option<Box<Rtc>>,
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
                let message = if answer == FLOOD {
                    Message::binary(vec![0; 200_000])
                } else {
                    Message::text(answer)
                };
                if self.socket.send(message).await.is_err() {
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
            "iq" if element.has_child("jingle", JINGLE) && element.attr("type") == Some("set") => {
                self.accepted(element)
            }
            "iq" if element.has_child("services", "urn:xmpp:extdisco:2") => {
                vec![self.script.relays.replace("@ID@", id)]
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

    fn offer(&mut self) -> Vec<String> {
        let address = self.bridge.address;
        let (endpoint, call) = self.bridge.invite();
        self.call = Some(call);
        let full = OFFER
            .replace("ip='198.51.100.7'", &format!("ip='{}'", address.ip()))
            .replace("port='10000'", &format!("port='{}'", address.port()))
            .replace("e00dt1k7tea43c", &endpoint.ufrag)
            .replace("3t4rc92bqrh5dk24usnejn7uha", &endpoint.pwd)
            .replace(FINGERPRINT, &endpoint.fingerprint);
        match self.script.offer {
            Offer::Full => vec![full],
            Offer::WithoutChannel => vec![full.replace("<sctpmap ", "<other ")],
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
            Offer::Flood => {
                let words = "blah ".repeat(40_000);
                vec![format!("<message xmlns='jabber:client'>{words}</message>"); 9]
            },
            Offer::Never => Vec::new(),
        }
    }
}

impl Session {
    fn accepted(&mut self, iq: &Element) -> Vec<String> {
        let jingle = iq.get_child("jingle", JINGLE).unwrap();
        assert_eq!(jingle.attr("action"), Some("session-accept"));
        let id = iq.attr("id").unwrap();
        if let Some(condition) = self.script.accept {
            return vec![format!(
                "<iq xmlns='jabber:client' type='error' id='{id}'><error type='cancel'>\
                 <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )];
        }
        self.bridge.accept(self.call.take().unwrap(), jingle);
        vec![format!("<iq xmlns='jabber:client' type='result' id='{id}'/>")]
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
