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
/// All that a participant is sent in a meeting of two has some 50 kB.
const STREAM_LIMIT: usize = 1024 * 1024;
/// A Jingle offer is nested ten deep; an element is taken apart level by level, on the stack.
const DEPTH_LIMIT: usize = 64;

/// An XMPP stream.
pub(crate) struct XmppStream {
    socket: WebSocketStream<Connection>,
    domain: String,
    last_id: u32,
    received: usize,
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
        Ok(Self { socket, domain: domain.to_owned(), last_id: 0, received: 0 })
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
            let message = self.socket.next().await.transpose().map_err(broken)?;
            self.received += message.as_ref().map_or(0, Message::len);
            if self.received > STREAM_LIMIT {
                return Err(Failure::TooMuch("1 MiB in one meeting".into()));
            }
            let text = match message {
                Some(Message::Text(text)) => text,
                Some(Message::Close(_)) | None => {
                    return Err(Failure::Disconnected("Prosody closed it".into()));
                }
                Some(_) => continue,
            };
            if depth(&text) > DEPTH_LIMIT {
                return Err(Failure::TooMuch(format!("{DEPTH_LIMIT} elements inside each other")));
            }
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

fn broken(error: WebSocketError) -> Failure {
    match error {
        WebSocketError::Capacity(_) => Failure::TooMuch("256 KiB in one message".into()),
        // Said of an answer to the handshake that is long, or comes in crumbs.
        WebSocketError::AttackAttempt => {
            Failure::TooMuch("64 KiB in answer to the WebSocket handshake".into())
        }
        other => Failure::Disconnected(other.to_string()),
    }
}

/// How many elements are open at once, at most. Of text that is no XML it may be anything.
fn depth(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for tag in text.split('<').skip(1) {
        if tag.starts_with('/') {
            open = open.saturating_sub(1);
        } else if !tag.starts_with(['?', '!']) {
            open += 1;
            most = most.max(open);
            // A `>` may stand in an attribute, an unescaped `<` may not: what follows the last one is text.
            if tag.rsplit_once('>').is_some_and(|(tag, _)| tag.ends_with('/')) {
                open -= 1;
            }
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_elements_are_counted() {
        assert_eq!(depth("<a/>"), 1);
        assert_eq!(depth(r#"<a b="x>y"><c/><d>text</d><e f='/>'/></a>"#), 2);
        assert_eq!(depth(&format!("{}{}", "<a>".repeat(90), "</a>".repeat(90))), 90);
    }
}
