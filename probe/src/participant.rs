//! One of the two participants: logs in, joins, answers jicofo, takes its offer, leaves.

use std::convert::Infallible;

use minidom::Element;

#[cfg(feature = "call")]
use crate::accept::session_accept;
#[cfg(feature = "call")]
use crate::call::Answer;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::login::log_in;
use crate::offer::Offer;
use crate::room::Room;
use crate::stanza::{self, EXTERNAL_SERVICES, FOCUS, MUC_USER};
use crate::stream::XmppStream;
use crate::target::{Auth, Depth, Target};

/// MUC status codes (XEP-0045 §15.6.2): "this is your own presence".
const OWN_PRESENCE: &str = "110";

/// A participant with an open stream.
pub(crate) struct Participant {
    stream: XmppStream,
    nick: String,
    /// The whole address the server gave.
    #[cfg_attr(not(feature = "call"), expect(dead_code, reason = "goes into the acceptance"))]
    jid: String,
    depth: Depth,
    /// `room@conference.D/nick`, once we tried to join.
    occupant: Option<String>,
    /// What must be logged out in the end: jicofo and the session it made for our request.
    focus_session: Option<(String, String)>,
}

impl Participant {
    /// Opens the WebSocket and logs in.
    pub(crate) async fn log_in(
        connection: Connection,
        target: &Target,
        room: &Room,
        token: Option<&str>,
        nick: &str,
    ) -> Result<Self, Failure> {
        let Target { domain, auth, depth, .. } = target;
        // Jitsi's Prosody modules read both from the address, as its own client sends them.
        let mut query = format!("?room={}", room.name());
        if let Some(token) = token {
            query.push_str("&token=");
            query.push_str(token);
        }
        let mut stream = XmppStream::new(connection, domain, &query).await?;
        let jid = log_in(&mut stream, auth).await?;
        let given = match auth {
            Auth::Account { .. } => None,
            Auth::Anonymous | Auth::Token { .. } => nick_of(&jid),
        };
        let nick = given.unwrap_or(nick).to_owned();
        Ok(Self { stream, nick, jid, depth: *depth, occupant: None, focus_session: None })
    }

    /// Asks jicofo for the conference over XMPP; the answer is jicofo's address.
    pub(crate) async fn request_conference(
        &mut self,
        focus: &str,
        room: &Room,
    ) -> Result<String, Failure> {
        let request = stanza::conference(&room.address(), room.machine_uid());
        let answer = self.stream.ask("set", Some(focus), request).await?;
        let Some(conference) = answer.get_child("conference", FOCUS) else {
            let (condition, _) = stanza::stanza_error(&answer);
            return Err(Failure::FocusRefused { focus: focus.to_owned(), condition });
        };
        self.focus_session =
            conference.attr("session-id").map(|session| (focus.to_owned(), session.to_owned()));
        if conference.attr("ready") != Some("true") {
            return Err(Failure::NotReady);
        }
        Ok(conference.attr("focusjid").unwrap_or(focus).to_owned())
    }

    /// Joins the room.
    pub(crate) async fn join(&mut self, room: &Room) -> Result<(), Failure> {
        let occupant = format!("{}/{}", room.address(), self.nick);
        self.occupant = Some(occupant.clone());
        self.stream.send(&stanza::join(&occupant)).await?;
        loop {
            let next = self.stream.receive().await?;
            match next.name() {
                "iq" => self.answer(&next).await?,
                "presence" if next.attr("type") == Some("error") => {
                    let (condition, text) = stanza::stanza_error(&next);
                    return Err(Failure::JoinRefused { condition, text });
                }
                "presence" if is_own(&next) => return Ok(()),
                _ => {}
            }
        }
    }

    /// Answers jicofo's questions until its offer comes.
    pub(crate) async fn offer(&mut self) -> Result<Offer, Failure> {
        loop {
            let next = self.stream.receive().await?;
            match next.name() {
                "iq" => {
                    self.answer(&next).await?;
                    if let Some(offer) = Offer::read(&next) {
                        return offer;
                    }
                }
                "presence" => heed(&next)?,
                _ => {}
            }
        }
    }

    #[cfg(feature = "call")]
    /// Accepts `offer`; jicofo tells the bridge.
    pub(crate) async fn accept(&mut self, offer: &Offer, answer: &Answer) -> Result<(), Failure> {
        let session = &offer.session;
        let media = offer.media.as_ref().map_err(Clone::clone)?;
        let accept = session_accept(session, &self.jid, &self.nick, media, answer);
        let said = self.stream.ask("set", Some(&session.focus), accept).await?;
        if said.attr("type") == Some("result") {
            return Ok(());
        }
        let (condition, text) = stanza::stanza_error(&said);
        Err(Failure::AcceptRefused { condition, text })
    }

    /// The relays a participant without UDP can use, as the site names them. A site without the
    /// module for it has none.
    pub(crate) async fn relays(&mut self, domain: &str) -> Result<Vec<String>, Failure> {
        let answer = self.stream.ask("get", Some(domain), stanza::external_services()).await?;
        let services = answer.get_child("services", EXTERNAL_SERVICES);
        let relays = services.into_iter().flat_map(Element::children).filter_map(|service| {
            let of = |name| service.attr(name).unwrap_or_default();
            let by_tcp = of("transport") == "tcp" || of("type") == "turns";
            let relay = matches!(of("type"), "turn" | "turns") && by_tcp;
            relay.then(|| format!("{}:{}:{}", of("type"), of("host"), of("port")))
        });
        Ok(relays.collect())
    }

    /// Leaves and waits until Prosody has ended the stream.
    pub(crate) async fn leave(&mut self) {
        // Always an error: at best `Prosody closed the stream`. Whatever it is, the connection is
        // closed next, on which Prosody removes the occupant.
        let _end = self.try_leave().await;
    }

    async fn try_leave(&mut self) -> Result<Infallible, Failure> {
        if let Some(occupant) = self.occupant.take() {
            self.stream.send(&stanza::leave(&occupant)).await?;
        }
        if let Some((focus, session)) = self.focus_session.take() {
            self.stream.ask("set", Some(&focus), stanza::logout(&session)).await?;
        }
        self.stream.send(&stanza::close()).await?;
        loop {
            self.stream.receive().await?;
        }
    }

    async fn answer(&mut self, iq: &Element) -> Result<(), Failure> {
        match iq.attr("type") {
            Some("get" | "set") => self.stream.send(&stanza::answer(iq, self.depth)).await,
            _ => Ok(()),
        }
    }
}

/// The first eight characters of an anonymous address, as Jitsi's own clients do: Prosody's
/// `muc_resource_validate` may insist on it. Two sessions of one account would collide.
fn nick_of(jid: &str) -> Option<&str> {
    jid.get(..8).filter(|start| start.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// What a presence says about the room: jicofo has no bridge, or we were removed.
fn heed(presence: &Element) -> Result<(), Failure> {
    let gone = presence.attr("type") == Some("unavailable");
    if gone && is_own(presence) {
        let reason = presence
            .get_child("x", MUC_USER)
            .and_then(|x| x.children().find(|child| matches!(child.name(), "item" | "destroy")))
            .and_then(|item| item.get_child("reason", MUC_USER))
            .map(Element::text);
        return Err(Failure::Removed(reason.unwrap_or_default()));
    }
    let no_bridge = presence.children().any(|child| child.name() == "bridge-not-available");
    if no_bridge { Err(Failure::NoBridge) } else { Ok(()) }
}

fn is_own(presence: &Element) -> bool {
    presence.get_child("x", MUC_USER).is_some_and(|x| {
        x.children().any(|c| c.name() == "status" && c.attr("code") == Some(OWN_PRESENCE))
    })
}
