//! XMPP over WebSocket (RFC 7395): one element a message.

use futures_util::{SinkExt, StreamExt};
use minidom::Element;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::request::by_load_balancer;
use crate::stanza::{self, FRAMING, STREAM};

/// The largest stanza on the way, a Jingle offer, has some 8 kB.
const MESSAGE_LIMIT: usize = 256 * 1024;

/// An XMPP stream.
pub(crate) struct XmppStream {
    socket: WebSocketStream<Connection>,
    domain: String,
    last_id: u32,
}

impl XmppStream {
    /// The WebSocket handshake. `query` begins with `?` or is empty.
    pub(crate) async fn new(
        connection: Connection,
        domain: &str,
        query: &str,
    ) -> Result<Self, Failure> {
        // From the address come `Host` and the path; the connection exists already.
        let mut request = format!("wss://{domain}/xmpp-websocket{query}")
            .into_client_request()
            .map_err(|e| Failure::Setup(e.to_string()))?;
        // Without it Prosody answers 501.
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xmpp"));
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        let (socket, _) =
            client_async_with_config(request, connection, Some(config)).await.map_err(refused)?;
        Ok(Self { socket, domain: domain.to_owned(), last_id: 0 })
    }

    /// Opens the stream, anew after the log-in; the answer is the server's features.
    pub(crate) async fn open(&mut self) -> Result<Element, Failure> {
        self.send(&stanza::open(&self.domain)).await?;
        let mut next = self.receive().await?;
        if next.is("open", FRAMING) {
            next = self.receive().await?;
        }
        if next.is("features", STREAM) { Ok(next) } else { Err(unexpected(&next)) }
    }

    /// Sends a request and waits for its answer, leaving others unanswered.
    pub(crate) async fn ask(
        &mut self,
        kind: &str,
        to: Option<&str>,
        payload: Element,
    ) -> Result<Element, Failure> {
        self.last_id += 1;
        let id = format!("probe-{}", self.last_id);
        self.send(&stanza::request(kind, &id, to, payload)).await?;
        loop {
            let next = self.receive().await?;
            if next.name() == "iq" && next.attr("id") == Some(&id) {
                return Ok(next);
            }
        }
    }

    pub(crate) async fn send(&mut self, element: &Element) -> Result<(), Failure> {
        self.socket.send(Message::text(String::from(element))).await.map_err(broken)
    }

    /// The next element. Cancelling loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Element, Failure> {
        loop {
            let text = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(_))) | None => {
                    return Err(Failure::Disconnected("Prosody closed it".into()));
                }
                Some(Ok(_)) => continue,
                Some(Err(e)) => return Err(broken(e)),
            };
            let element: Element =
                text.parse().map_err(|e| Failure::Disconnected(format!("not XML: {e}")))?;
            if element.is("error", STREAM) {
                let (condition, text) = stanza::condition(&element);
                return Err(Failure::Disconnected(format!("{condition} {text}").trim().into()));
            }
            if element.is("close", FRAMING) {
                return Err(Failure::Disconnected("Prosody closed the stream".into()));
            }
            return Ok(element);
        }
    }
}

pub(crate) fn unexpected(element: &Element) -> Failure {
    Failure::Disconnected(format!("unexpected <{}/>", element.name()))
}

fn refused(error: WebSocketError) -> Failure {
    match error {
        WebSocketError::Http(answer) => Failure::WebSocketRefused {
            status: answer.status().as_u16(),
            by_load_balancer: by_load_balancer(answer.headers()),
        },
        other => broken(other),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn broken(error: WebSocketError) -> Failure {
    Failure::Disconnected(error.to_string())
}
