//! Just enough TLS, HTTP and XMPP to ask the servers as browsers, jicofo and the bridge do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use crate::fixture::DOMAIN;
use crate::machine::Machine;

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// TLS as `name`; the server must show `certificate`.
pub(crate) fn tls(stream: TcpStream, certificate: &CertificateDer<'static>, name: &str) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// Sends one HTTP request; gives the whole answer, head and body.
pub(crate) fn http(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // nginx ends a connection without TLS's close_notify.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// An XMPP client over WebSocket through nginx (RFC 7395).
pub(crate) struct Browser(WebSocket<Tls>);

impl Browser {
    /// Connects and opens a stream to `host`; gives the features it offers too.
    pub(crate) fn open(
        machine: &Machine,
        certificate: &CertificateDer<'static>,
        host: &str,
    ) -> (Self, String) {
        Self::open_with(machine, certificate, host, "?room=r")
    }

    fn open_with(
        machine: &Machine,
        certificate: &CertificateDer<'static>,
        host: &str,
        query: &str,
    ) -> (Self, String) {
        let stream = tls(machine.connect(443), certificate, DOMAIN);
        let mut request =
            format!("wss://{DOMAIN}/xmpp-websocket{query}").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "xmpp".parse().unwrap());
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        let mut browser = Self(socket);
        let features = browser.restart(host);
        (browser, features)
    }

    /// Logs in and binds; gives the full JID, or the server's refusal.
    pub(crate) fn log_in(
        machine: &Machine,
        certificate: &CertificateDer<'static>,
        host: &str,
        account: Option<(&str, &str)>,
    ) -> Result<(Self, String), String> {
        Self::log_in_with(machine, certificate, host, "?room=r", account)
    }

    /// As [`Browser::log_in`], with what the address says of the room and the token.
    pub(crate) fn log_in_with(
        machine: &Machine,
        certificate: &CertificateDer<'static>,
        host: &str,
        query: &str,
        account: Option<(&str, &str)>,
    ) -> Result<(Self, String), String> {
        let (mut browser, _) = Self::open_with(machine, certificate, host, query);
        let (mechanism, answer) = match account {
            None => ("ANONYMOUS", String::new()),
            Some((user, password)) => ("PLAIN", plain(user, password)),
        };
        browser.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{answer}</auth>"
        ));
        let verdict = browser.receive();
        if !verdict.starts_with("<success") {
            return Err(verdict);
        }
        browser.restart(host);
        browser.send(
            "<iq xmlns='jabber:client' type='set' id='bind'>\
             <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        );
        let bound = browser.until("<jid>");
        let jid = bound.split("<jid>").nth(1).and_then(|rest| rest.split("</jid>").next());
        let jid = jid.unwrap().to_owned();
        Ok((browser, jid))
    }

    /// Joins `room@conference.D` as `nick`; gives the own presence or the refusal.
    pub(crate) fn join(&mut self, room: &str, nick: &str) -> String {
        self.join_room(&format!("{room}@conference.{DOMAIN}"), nick)
    }

    /// Joins the room at `address` as `nick`; gives the own presence or the refusal.
    pub(crate) fn join_room(&mut self, address: &str, nick: &str) -> String {
        self.send(&format!(
            "<presence xmlns='jabber:client' to='{address}/{nick}'>\
             <x xmlns='http://jabber.org/protocol/muc'/>\
             <nick xmlns='http://jabber.org/protocol/nick'>Ann</nick></presence>"
        ));
        loop {
            let stanza = self.until("<presence");
            if stanza.contains("type='error'") || stanza.contains("code='110'") {
                return stanza;
            }
        }
    }

    /// Whether the room at `address` lets one in; it may refuse without a word.
    pub(crate) fn gets_into(&mut self, address: &str) -> bool {
        self.send(&format!(
            "<presence xmlns='jabber:client' to='{address}/bridge'>\
             <x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ));
        self.send(&format!(
            "<iq xmlns='jabber:client' type='get' id='after' to='{DOMAIN}'>\
             <ping xmlns='urn:xmpp:ping'/></iq>"
        ));
        loop {
            let stanza = self.receive();
            if stanza.contains("id='after'") || stanza.contains("code='110'") {
                return stanza.contains("code='110'");
            }
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The next stanza that contains `part`.
    pub(crate) fn until(&mut self, part: &str) -> String {
        loop {
            let stanza = self.receive();
            if stanza.contains(part) {
                return stanza;
            }
        }
    }

    fn receive(&mut self) -> String {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                return text.as_str().replace('"', "'");
            }
        }
    }

    fn restart(&mut self, host: &str) -> String {
        self.send(&format!(
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{host}' version='1.0'/>"
        ));
        self.until("features")
    }
}

/// Logs in on Prosody's client port as jicofo and the bridge do, over STARTTLS: whether `user` may.
pub(crate) fn service_log_in(
    machine: &Machine,
    certificate: &CertificateDer<'static>,
    user: &str,
    password: &str,
) -> bool {
    let host = format!("auth.{DOMAIN}");
    let open = format!(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
         to='{host}' version='1.0'>"
    );
    let mut stream = machine.connect(5222);
    let features = ask(&mut stream, &open, "</stream:features>");
    assert!(!features.contains("PLAIN"), "a password without TLS: {features}");
    ask(&mut stream, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "proceed");
    let mut stream = tls(stream, certificate, &host);
    let features = ask(&mut stream, &open, "</stream:features>");
    assert!(features.contains("SCRAM-SHA-1"), "jicofo's mechanism is missing: {features}");
    let answer = plain(user, password);
    let auth =
        format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{answer}</auth>");
    let verdict = ask(&mut stream, &auth, "urn:ietf:params:xml:ns:xmpp-sasl");
    assert!(verdict.contains("<success") || verdict.contains("<failure"), "{verdict}");
    verdict.contains("<success")
}

fn plain(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("\0{user}\0{password}"))
}

/// Sends `text` and reads until `end` has come.
fn ask(stream: &mut (impl Read + Write), text: &str, end: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains(end) {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "closed after: {answer}");
        answer.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    answer
}
