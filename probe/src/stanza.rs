//! The few stanzas a participant sends. Plain elements rather than typed ones: a probe must not
//! turn red because a new Jitsi release adds an attribute a strict parser has never heard of.
#![expect(clippy::transmute_ptr_to_ptr, reason = "how `xml_ncname!` checks names while compiling")]

use minidom::{Element, ElementBuilder};
use rxml::{NcNameStr, xml_ncname};

use crate::target::Depth;

pub(crate) const CLIENT: &str = "jabber:client";
pub(crate) const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
pub(crate) const STREAM: &str = "http://etherx.jabber.org/streams";
pub(crate) const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub(crate) const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
pub(crate) const MUC: &str = "http://jabber.org/protocol/muc";
pub(crate) const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
pub(crate) const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
pub(crate) const JINGLE: &str = "urn:xmpp:jingle:1";
pub(crate) const ICE_UDP: &str = "urn:xmpp:jingle:transports:ice-udp:1";
pub(crate) const RTP: &str = "urn:xmpp:jingle:apps:rtp:1";
pub(crate) const HEADER_EXTENSIONS: &str = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0";
pub(crate) const DTLS: &str = "urn:xmpp:jingle:apps:dtls:0";
pub(crate) const SCTP: &str = "urn:xmpp:jingle:transports:dtls-sctp:1";
pub(crate) const FOCUS: &str = "http://jitsi.org/protocol/focus";
pub(crate) const EXTERNAL_SERVICES: &str = "urn:xmpp:extdisco:2";
pub(crate) const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What a participant says it can do. Without these jicofo's offer comes without contents.
const FEATURES: [&str; 9] = [
    DISCO_INFO,
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:video",
    ICE_UDP,
    DTLS,
    "urn:ietf:rfc:5888",
    "urn:ietf:rfc:5761",
    "http://jitsi.org/source-name",
    "http://jitsi.org/json-encoded-sources",
];

/// Adds attributes by constant names.
pub(crate) trait With {
    fn with(self, name: &'static NcNameStr, value: &str) -> Self;
}

impl With for ElementBuilder {
    fn with(self, name: &'static NcNameStr, value: &str) -> Self {
        self.attr(name.to_owned(), value)
    }
}

/// `<open/>`, RFC 7395's stream header.
pub(crate) fn open(domain: &str) -> Element {
    Element::builder("open", FRAMING)
        .with(xml_ncname!("to"), domain)
        .with(xml_ncname!("version"), "1.0")
        .build()
}

/// `<close/>`, RFC 7395's stream end.
pub(crate) fn close() -> Element {
    Element::bare("close", FRAMING)
}

/// A step of SASL: `auth` with a mechanism or `response` without.
pub(crate) fn sasl(name: &'static str, mechanism: Option<&str>, payload: &str) -> Element {
    let mut element = Element::builder(name, SASL);
    if let Some(mechanism) = mechanism {
        element = element.with(xml_ncname!("mechanism"), mechanism);
    }
    element.append(payload).build()
}

/// A request: `kind` is `get` or `set`.
pub(crate) fn request(kind: &str, id: &str, to: Option<&str>, payload: Element) -> Element {
    let mut iq =
        Element::builder("iq", CLIENT).with(xml_ncname!("type"), kind).with(xml_ncname!("id"), id);
    if let Some(to) = to {
        iq = iq.with(xml_ncname!("to"), to);
    }
    iq.append(payload).build()
}

/// Resource binding; the server chooses the resource.
pub(crate) fn bind() -> Element {
    Element::bare("bind", BIND)
}

/// Presence that joins the room as `occupant` (`room@conference.D/nick`).
pub(crate) fn join(occupant: &str) -> Element {
    presence(occupant).append(Element::bare("x", MUC)).build()
}

/// Presence that leaves the room.
pub(crate) fn leave(occupant: &str) -> Element {
    presence(occupant).with(xml_ncname!("type"), "unavailable").build()
}

fn presence(to: &str) -> ElementBuilder {
    Element::builder("presence", CLIENT).with(xml_ncname!("to"), to)
}

/// jicofo's conference request as an IQ, for sites on which it must know who asks.
pub(crate) fn conference(room: &str, machine_uid: &str) -> Element {
    Element::builder("conference", FOCUS)
        .with(xml_ncname!("room"), room)
        .with(xml_ncname!("machine-uid"), machine_uid)
        .build()
}

/// Asks for relays (XEP-0215).
pub(crate) fn external_services() -> Element {
    Element::bare("services", EXTERNAL_SERVICES)
}

/// Ends the session jicofo made for the request.
pub(crate) fn logout(session: &str) -> Element {
    Element::builder("logout", FOCUS).with(xml_ncname!("session-id"), session).build()
}

/// The answer a request deserves: features to disco, silence never (RFC 6120 §8.2.3). Only who wants to
/// be heard says that it can do SCTP: else the bridge need not prepare a channel.
pub(crate) fn answer(iq: &Element, depth: Depth) -> Element {
    if let Some(query) = iq.get_child("query", DISCO_INFO) {
        let mut info = Element::builder("query", DISCO_INFO);
        if let Some(node) = query.attr("node") {
            info = info.with(xml_ncname!("node"), node);
        }
        let identity = Element::builder("identity", DISCO_INFO)
            .with(xml_ncname!("category"), "client")
            .with(xml_ncname!("type"), "bot");
        let channel = (depth != Depth::Reached).then_some(SCTP);
        let features = FEATURES.into_iter().chain(channel).map(|feature| {
            Element::builder("feature", DISCO_INFO).with(xml_ncname!("var"), feature).build()
        });
        return reply(iq, "result")
            .append(info.append(identity.build()).append_all(features).build())
            .build();
    }
    let understood = iq.has_child("jingle", JINGLE) || iq.has_child("ping", "urn:xmpp:ping");
    if understood {
        return reply(iq, "result").build();
    }
    let error = Element::builder("error", CLIENT)
        .with(xml_ncname!("type"), "cancel")
        .append(Element::bare("service-unavailable", STANZAS));
    reply(iq, "error").append(error.build()).build()
}

fn reply(iq: &Element, kind: &str) -> ElementBuilder {
    let mut reply = Element::builder("iq", CLIENT).with(xml_ncname!("type"), kind);
    if let Some(id) = iq.attr("id") {
        reply = reply.with(xml_ncname!("id"), id);
    }
    if let Some(from) = iq.attr("from") {
        reply = reply.with(xml_ncname!("to"), from);
    }
    reply
}

/// Condition and text of the `<error/>` (or SASL `<failure/>`) `element` itself.
pub(crate) fn condition(element: &Element) -> (String, String) {
    let condition = element.children().find(|child| child.name() != "text");
    let text = element.children().find(|child| child.name() == "text");
    (
        condition.map_or("no condition given", Element::name).to_owned(),
        text.map(Element::text).unwrap_or_default(),
    )
}

/// Condition and text of a stanza of type `error`.
pub(crate) fn stanza_error(stanza: &Element) -> (String, String) {
    stanza
        .get_child("error", CLIENT)
        .map_or_else(|| ("no reason given".into(), String::new()), condition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Element {
        text.parse().unwrap()
    }

    #[test]
    fn disco_is_answered_with_what_jicofo_needs_for_an_offer() {
        // jicofo's question as recorded, `from` added as Prosody does.
        let question = parse(
            "<iq xmlns='jabber:client' from='capture2@conference.meet.example.com/focus' \
             id='UGKNM-8' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        );
        let answer = answer(&question, Depth::Reached);
        assert_eq!(answer.attr("type"), Some("result"));
        assert_eq!(answer.attr("to"), Some("capture2@conference.meet.example.com/focus"));
        assert_eq!(answer.attr("id"), Some("UGKNM-8"));
        let info = answer.get_child("query", DISCO_INFO).unwrap();
        let features: Vec<_> = info.children().filter_map(|c| c.attr("var")).collect();
        assert_eq!(features, FEATURES);
    }

    #[test]
    fn unknown_requests_are_refused_and_pings_answered() {
        let unknown = parse("<iq xmlns='jabber:client' id='1' type='get'><q xmlns='urn:x'/></iq>");
        assert_eq!(
            stanza_error(&answer(&unknown, Depth::Reached)),
            ("service-unavailable".into(), String::new())
        );
        let ping =
            parse("<iq xmlns='jabber:client' id='2' type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
        assert_eq!(answer(&ping, Depth::Reached).attr("type"), Some("result"));
    }

    #[test]
    fn hostile_text_stays_text() {
        let element = join("room@muc/a'/><x>&\"");
        let read = parse(&String::from(&element));
        assert_eq!(read.attr("to"), Some("room@muc/a'/><x>&\""));
        assert_eq!(read.children().count(), 1);
    }
}
